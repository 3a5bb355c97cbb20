use super::*;

fn read(schema: Value) -> Result<Input, String> {
    Input::read(&schema)
}

/// Types of the members, then what is left out; `?` marks what need not be sent.
fn shown(schema: Value) -> String {
    match read(schema) {
        Ok(input) => {
            let left: Vec<String> =
                input.left_out.iter().map(|left| format!("{}: {}", left.pointer, left.why)).collect();
            [record(&input.record)].into_iter().chain(left).collect::<Vec<_>>().join("; ")
        }
        Err(message) => format!("refused: {message}"),
    }
}

fn record(record: &Record) -> String {
    let field = |(name, of): (&String, &Type)| {
        format!("{name}{}: {}", if record.required.contains(name) { "" } else { "?" }, kind(of))
    };
    let fields: Vec<String> = record.fields.iter().map(field).collect();
    format!("{{{}}}{}", fields.join(", "), if record.is_closed { "!" } else { "" })
}

fn kind(of: &Type) -> String {
    match of {
        Type::Text => "text".to_owned(),
        Type::Integer => "integer".to_owned(),
        Type::Boolean => "boolean".to_owned(),
        Type::List(items) => format!("[{}]", kind(items)),
        Type::Object(members) => record(members),
    }
}

fn of(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

#[test]
fn a_schema_types_what_has_one_type() {
    for (schema, expected) in [
        (json!({"type": "object"}), "{}"),
        (json!({"type": "object", "additionalProperties": false}), "{}!"),
        (of(json!({"a": {"type": "string", "pattern": "x"}, "b": {"type": ["boolean"]}})), "{a?: text, b?: boolean}"),
        (of(json!({"a": {"enum": ["x", "y"]}, "b": {"const": 1}})), "{a?: text, b?: integer}"),
        (
            of(json!({"a": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}})),
            "{a?: [[integer]]}",
        ),
        (
            json!({"type": "object", "properties": {"o": {"type": "object", "properties": {"n": {"type": "integer"}},
                "required": ["n"], "additionalProperties": false}}, "required": ["o", "other"]}),
            "{o: {n: integer}!}",
        ),
        (
            json!({"$ref": "#/$defs/args", "$defs": {"args": {"type": "object", "properties": {"a": {"$ref": "#/$defs/t"}}},
                "t": {"$ref": "#/$defs/u"}, "u": {"type": "string"}}}),
            "{a?: text}",
        ),
        // What stands beside a type can only forbid more.
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "anyOf": [{"maxLength": 3}]}}, "anyOf": [{"required": ["a"]}]}),
            "{a?: text}",
        ),
        // A pattern names members too.
        (json!({"type": "object", "patternProperties": {"^x": {}}, "additionalProperties": false}), "{}"),
    ] {
        assert_eq!(shown(schema.clone()), expected, "{schema}");
    }
}

#[test]
fn members_without_one_type_are_left_out_and_reported() {
    for (schema, why) in [
        (json!({"type": "number"}), "a `number` is not a 64-bit integer"),
        (json!({"type": "null"}), "policies have no value for `null`"),
        (json!({"type": ["string", "null"]}), "it may have several types"),
        (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), "it may have several types"),
        (json!({"oneOf": [{"type": "string"}]}), "it may have several types"),
        (json!({"enum": ["a", 1]}), "it may have several types"),
        (json!({"enum": []}), "it may have several types"),
        (json!({"const": 1.5}), "it may have several types"),
        (json!({}), "it has no type"),
        (json!(true), "it has no type"),
        (json!({"type": "array"}), "its items have no single type"),
        (json!({"type": "array", "items": {"type": "number"}}), "its items have no single type"),
        (json!({"type": "array", "items": [{"type": "string"}]}), "its items have no single type"),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "string"}}),
            "its items have no single type",
        ),
        (json!({"type": "object"}), "an object with unnamed members"),
        (json!({"type": "object", "additionalProperties": {"type": "string"}}), "an object with unnamed members"),
        (json!({"$ref": "https://schemas.example/x"}), "its `$ref` points outside the schema"),
        (json!({"$ref": "#/nowhere"}), "its `$ref` points outside the schema"),
        (json!({"$ref": "#/properties/a"}), "its `$ref` points to itself"),
    ] {
        assert_eq!(shown(of(json!({"a": schema}))), format!("{{}}; /a: {why}"), "{schema}");
    }
    for name in ["", "__entity", "größe", "a\tb"] {
        let input = read(of(json!({name: {"type": "string"}}))).unwrap();
        assert_eq!((input.record.fields.len(), input.record.untyped.len()), (0, 1), "{name}");
    }
    let nested = of(json!({"a": {"type": "object", "properties": {"b/~": {"type": "number"}}}}));
    assert_eq!(shown(nested), "{a?: {}}; /a/b~1~0: a `number` is not a 64-bit integer");
}

#[test]
fn a_schema_that_names_itself_ends() {
    let node = json!({"type": "object", "properties": {"n": {"type": "integer"}, "next": {"$ref": "#/$defs/node"},
        "all": {"type": "array", "items": {"$ref": "#/$defs/node"}}}});
    let schema = json!({"type": "object", "properties": {"first": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}});
    assert_eq!(
        shown(schema),
        "{first?: {n?: integer}}; /first/next: its `$ref` points to itself; /first/all: its items have no single type"
    );
}

#[test]
fn an_invalid_schema_of_arguments_is_rejected() {
    let many: Map<String, Value> = (0..=VALUES_MAX).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect();
    let deep = (0..NESTING_MAX).fold(json!({}), |inner, _| json!({"x": inner}));
    // Each level names the next one twice: two hundred values by eight definitions.
    let doubling: Map<String, Value> = (0..12)
        .map(|n| {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            (format!("d{n}"), of(json!({"a": next, "b": next})))
        })
        .collect();
    let doubling = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": doubling});
    // Few are written, and each reference would copy them.
    let names = |what: &str| (0..100).map(|n| format!("{what}{n}")).collect::<Vec<_>>();
    let behind = |record: Value| {
        let properties: Map<String, Value> =
            names("p").into_iter().take(3).map(|name| (name, json!({"$ref": "#/$defs/d"}))).collect();
        json!({"type": "object", "properties": properties, "$defs": {"d": record}})
    };
    let requiring = behind(json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": names("r")}));
    let untyped: Map<String, Value> = names("ü").into_iter().map(|name| (name, json!({"type": "string"}))).collect();
    let long = "l".repeat(NAME_BYTES_MAX + 1);
    let longer = format!("names `{}…`, longer than 256 bytes", "l".repeat(32));
    for (schema, why) in [
        (json!({"type": "string"}), "is not the schema of an object: it does not have `type: object`"),
        (json!({}), "is not the schema of an object: it does not have `type: object`"),
        (json!([]), "is not the schema of an object: it has no type"),
        (json!({"type": "object", "properties": []}), "has `properties` that are not a mapping, at ``"),
        (json!({"type": "object", "required": "a"}), "has a `required` that is not a list of names, at ``"),
        (
            of(json!({"a": {"type": "object", "properties": {"b": {}}, "required": [1]}})),
            "has a `required` that is not a list of names, at `/a`",
        ),
        (of(json!({"a": {"type": "strnig"}})), "has the unknown type `strnig`, at `/a`"),
        (of(json!({"a": {"type": 1}})), "has a `type` that is not a text, at `/a`"),
        (of(Value::Object(many)), "names more than 256 members and items"),
        (doubling, "names more than 256 members and items"),
        (requiring, "names more than 256 members and items"),
        (behind(of(Value::Object(untyped))), "names more than 256 members and items"),
        (of(json!({long.clone(): {"type": "string"}})), longer.as_str()),
        (json!({"type": "object", "required": [long]}), longer.as_str()),
        (json!({"type": "object", "x": deep}), "nests deeper than 20 levels"),
        (json!({"type": "object", "x": "x".repeat(BYTES_MAX)}), "has 65560 bytes, at most 65536 are read"),
    ] {
        assert_eq!(read(schema).map(|_| ()), Err(why.to_owned()));
    }
}

#[test]
fn members_too_deep_are_left_out() {
    let deep = (0..DEPTH_MAX).fold(json!({"type": "string"}), |inner, _| of(json!({"x": inner})));
    let deeper = of(json!({"x": deep}));
    let whole = read(deep).unwrap();
    assert!(whole.left_out.is_empty(), "{:?}", whole.left_out);
    let cut = read(deeper).unwrap();
    assert_eq!(cut.left_out, [LeftOut { pointer: "/x".repeat(DEPTH_MAX + 1), why: "it is nested too deeply" }]);
}
