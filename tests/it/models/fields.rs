//! The list of all fields, and requests that have one of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

const LIST: &str = include_str!("../../sdk/models/fields");

/// The class of a place, which defines its handling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A scalar without effect.
    Plain,
    /// Anything, without effect.
    Free,
    /// A fact of its own, or a part of one: the model, the bound, content that makes an id no pointer, who runs a tool.
    Own,
    /// Objects with listed members.
    Below,
    /// The same, distinguished by their type.
    Union,
    /// Sent as a header by the SDK.
    Header,
    Fetch,
    Content,
    Schema,
    Call,
    Search,
    Host,
    Stored,
    Kept,
    Model,
    Checker,
    Tools,
    Tool,
    Names,
    Name,
    Choice,
    Hosted,
}

impl Kind {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "plain" => Self::Plain,
            "free" => Self::Free,
            "own" => Self::Own,
            "below" => Self::Below,
            "union" => Self::Union,
            "header" => Self::Header,
            "fetch" => Self::Fetch,
            "content" => Self::Content,
            "schema" => Self::Schema,
            "call" => Self::Call,
            "search" => Self::Search,
            "host" => Self::Host,
            "stored" => Self::Stored,
            "kept" => Self::Kept,
            "model" => Self::Model,
            "checker" => Self::Checker,
            "tools" => Self::Tools,
            "tool" => Self::Tool,
            "names" => Self::Names,
            "name" => Self::Name,
            "choice" => Self::Choice,
            "hosted" => Self::Hosted,
            _ => return None,
        })
    }
}

/// One field of one type.
pub struct Field {
    pub name: String,
    pub kind: Kind,
    what: Value,
}

impl Field {
    fn is(&self, property: &str) -> bool {
        self.what[property] == true
    }

    fn words(&self) -> impl Iterator<Item = &Value> {
        self.what["words"].as_array().into_iter().flatten()
    }

    fn scalar(&self) -> Option<Value> {
        let scalars: BTreeSet<&str> = self.what["scalars"].as_array()?.iter().filter_map(Value::as_str).collect();
        let is = |name: &str| scalars.contains(name);
        Some(match () {
            () if is("str") => json!("https://evil.example/plain"),
            () if is("bool") => json!(true),
            () if is("int") => json!(7),
            () => json!(0.5),
        })
    }

    fn objects(&self) -> impl Iterator<Item = &str> {
        self.what["objects"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    fn around(&self, value: Value) -> Value {
        match () {
            () if self.is("list") => json!([value]),
            () if self.is("map") => json!({"any": value}),
            () => value,
        }
    }
}

/// A place of an object of a type: the fields that lead to it.
pub struct Place {
    pub of: String,
    pub is_told_by_type: bool,
    way: Vec<(String, usize)>,
}

/// All fields of one API.
pub struct Fields {
    pub api: &'static str,
    pub types: BTreeMap<String, Vec<Field>>,
    pub places: Vec<Place>,
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str, &'static str)> {
    LIST.lines().map(|line| {
        let mut parts = line.splitn(4, ' ');
        let mut part = || parts.next().unwrap_or_else(|| panic!("{line}"));
        (part(), part(), part(), part())
    })
}

/// The rows with an unknown class.
pub fn unclassified() -> String {
    let rows = rows().filter(|(_, _, class, _)| Kind::of(class).is_none());
    rows.map(|(api, field, class, _)| format!("{api} {field} ({class})\n")).collect()
}

/// All APIs.
pub fn all() -> Vec<Fields> {
    ["chat", "responses", "messages", "messages.beta"].map(Fields::listed).into()
}

impl Fields {
    fn listed(api: &'static str) -> Self {
        let mut types: BTreeMap<String, Vec<Field>> = BTreeMap::new();
        for (_, field, class, what) in rows().filter(|(of, ..)| *of == api) {
            let (kind, name) = field.rsplit_once('.').unwrap();
            let class = Kind::of(class).unwrap_or_else(|| panic!("{api} {field} is not classified"));
            let what = serde_json::from_str(what).unwrap();
            types.entry(kind.to_owned()).or_default().push(Field { name: name.to_owned(), kind: class, what });
        }
        let mut fields = Self { api, types, places: Vec::new() };
        fields.places = fields.found();
        fields
    }

    /// A place for every type and every field that leads to it in another way.
    fn found(&self) -> Vec<Place> {
        let mut waiting = VecDeque::from([Place { of: "Request".to_owned(), is_told_by_type: false, way: Vec::new() }]);
        let (mut seen, mut places) = (BTreeSet::new(), Vec::new());
        while let Some(place) = waiting.pop_front() {
            for (at, field) in self.of(&place.of).iter().enumerate() {
                if matches!(field.kind, Kind::Free | Kind::Header | Kind::Schema) {
                    continue;
                }
                for of in field.objects() {
                    // Types that only lead on are walked once; those with an effect at every place of theirs.
                    if !seen.insert((place.of.clone(), at, of.to_owned())) || place.way.len() > 7 {
                        continue;
                    }
                    let way = place.way.iter().cloned().chain([(place.of.clone(), at)]).collect();
                    let is_told_by_type = matches!(field.kind, Kind::Union | Kind::Tools | Kind::Tool);
                    waiting.push_back(Place { of: of.to_owned(), is_told_by_type, way });
                }
            }
            places.push(place);
        }
        places
    }

    /// The fields of a type.
    pub fn of(&self, kind: &str) -> &[Field] {
        self.types.get(kind).map(Vec::as_slice).unwrap_or_default()
    }

    /// A minimal object of the type, with the members that identify it.
    pub fn least(&self, kind: &str) -> Value {
        let mut object = Map::new();
        let fields = self.of(kind);
        let is_server = fields.iter().any(|field| field.name == "authorization_token");
        for field in fields {
            let value = match field.name.as_str() {
                "type" if kind == "ContextManagement" => Some(json!("compaction")),
                "type" | "role" => field.words().find(|word| word.is_string()).cloned(),
                "name" if field.kind == Kind::Name => Some(json!("n")),
                "name" => field.words().next().cloned(),
                // The function inside its tool.
                "function" | "custom" => field.objects().next().map(|of| self.least(of)),
                // The request's own model does not count as another.
                "model" if kind != "Request" && field.kind == Kind::Model => Some(json!("m")),
                "server_url" => Some(json!("https://own.example/mcp")),
                "url" if is_server => Some(json!("https://own.example/mcp")),
                _ => None,
            };
            object.extend(value.map(|value| (field.name.clone(), value)));
        }
        Value::Object(object)
    }

    /// A request with this object at its place.
    pub fn request(&self, place: &Place, object: Value) -> Value {
        let mut inner = object;
        for (kind, at) in place.way.iter().rev() {
            let field = &self.of(kind)[*at];
            let mut holder = if kind == "Request" { json!({}) } else { self.least(kind) };
            holder[&field.name] = field.around(inner);
            inner = holder;
        }
        let mut request = self.base();
        request.as_object_mut().unwrap().extend(inner.as_object().unwrap().clone());
        request
    }

    /// A request with one more parameter.
    pub fn with(&self, name: &str, value: Value) -> Value {
        let mut request = self.base();
        request[name] = value;
        request
    }

    fn base(&self) -> Value {
        match self.api {
            "chat" => json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
            "responses" => json!({"model": "m", "store": false, "input": "hi"}),
            _ => json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
        }
    }
}

/// Values for a field that an attacker would try, or, where it has no effect, values that would have one elsewhere.
pub fn evil(fields: &Fields, field: &Field) -> Vec<Value> {
    let (url, server) =
        (json!("https://evil.example/x"), json!({"type": "mcp", "server_url": "https://evil.example/"}));
    let each = |value: Value| vec![field.around(value)];
    match field.kind {
        Kind::Own | Kind::Below | Kind::Union => Vec::new(),
        Kind::Plain if matches!(field.name.as_str(), "type" | "role") => Vec::new(),
        Kind::Plain => match field.scalar().or_else(|| field.words().last().cloned()) {
            Some(scalar) => each(scalar),
            None => panic!("{} has no value", field.name),
        },
        Kind::Free => each(json!({"url": url, "model": "evil-model", "tools": [server], "file_id": "f"})),
        Kind::Fetch => {
            vec![url.clone(), json!({"url": url}), json!("//evil.example/x"), json!("evil.example"), json!(7)]
        }
        Kind::Content => vec![url, json!("HTTPS://Evil.Example:443/a b"), json!(" https://evil.example/x")],
        Kind::Schema => vec![
            json!({"properties": {"a": {"$ref": "https://evil.example/s.json#/d"}}}),
            json!({"anyOf": [{"$dynamicRef": "https://evil.example/s.json"}]}),
            json!({"$id": "https://evil.example/", "$ref": "s.json"}),
        ],
        Kind::Call if field.name.contains("url") => {
            vec![url, json!("evil.example"), json!({"url": "https://evil.example"})]
        }
        Kind::Call if field.name.contains("domain") => each(json!("Evil.Example.")),
        Kind::Call => vec![json!("evil-id"), json!(["evil-id"]), json!({"id": "evil-id"})],
        Kind::Search => each(json!("Evil.Example")),
        Kind::Host => ["Host", "host", ":authority", "X-Forwarded-Host", "x_forwarded_host", "Forwarded"]
            .map(|name| json!({name: "evil.example"}))
            .into(),
        Kind::Stored if field.is("list") => vec![json!(["evil-id"]), json!("evil-id")],
        Kind::Stored => match field.objects().next() {
            Some(of) => vec![json!("evil-id"), fields.least(of), json!({"id": "evil-id"})],
            None => vec![json!("evil-id"), json!(["evil-id"])],
        },
        Kind::Kept => match field.objects().next() {
            Some(of) => vec![fields.least(of)],
            None => vec![json!(true), json!("true")],
        },
        Kind::Model | Kind::Checker => {
            vec![json!("evil-model"), json!(["evil-model"]), json!([{"model": "evil-model"}])]
        }
        Kind::Tools => vec![json!([server]), json!(server), json!({"a": server})],
        Kind::Tool => vec![server],
        Kind::Names => vec![json!([{"name": "evil-tool"}])],
        Kind::Name => vec![json!("evil-tool")],
        Kind::Choice if field.is("list") => vec![json!([{"type": "web_search"}])],
        Kind::Choice => vec![json!({"type": "web_search"}), json!([{"type": "web_search"}])],
        Kind::Hosted => match field.objects().next() {
            Some(of) => each(fields.least(of)),
            None => vec![json!({})],
        },
        Kind::Header => vec![json!("x"), json!(["x"])],
    }
}
