//! `picket catalog`: helps to write `catalog.yaml`.
//!
//! Knows: a server's answer to `tools/list`, the catalogue's keys. Must not know: policies.
//!
//! What a server says about its own tools is its claim: an effect is taken from it only where the operator says
//! that the server is trusted.

mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::offline::{Policies, block_on};
use super::{Exit, Output};
use picket_core::body::json::{self, List, Node, Object};
use picket_core::catalog::mcp::input::Input;
use picket_core::catalog::mcp::{Effect, Tool};

/// Arguments of `picket catalog`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Writes the `tools:` of an MCP server from its answer to `tools/list`.
    ImportMcp(ImportMcp),
}

/// Arguments of `picket catalog import-mcp`.
#[derive(Debug, clap::Args)]
#[command(after_help = IMPORT_HELP)]
struct ImportMcp {
    /// The answer to `tools/list` as JSON: the whole message, its result, or the list alone; `-` reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The service in the catalogue that owns the tools; its entries for known tools are kept.
    #[arg(long, value_name = "ID", requires = "policies")]
    service: Option<String>,
    /// The policy directory that holds the catalogue.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Imports effects from the server's annotations. Without it a new tool's effect is `unknown`.
    #[arg(long)]
    trust_annotations: bool,
    /// Imports the schemas of arguments: policies can read `context.input`, and arguments that do not match are rejected.
    #[arg(long)]
    schemas: bool,
}

const AFTER_HELP: &str = "\
Examples:
  picket catalog import-mcp tools.json
  picket catalog import-mcp tools.json --service agents/deploy-mcp --policies policies";

const IMPORT_HELP: &str = "\
Examples:
  picket catalog import-mcp tools.json
  picket catalog import-mcp tools.json --trust-annotations
  picket catalog import-mcp tools.json --schemas
  picket catalog import-mcp - --service agents/deploy-mcp --policies policies

Prints YAML for the service's entry; no file is changed. New tools, and tools that the catalogue
lists and the server does not, are reported on standard error. A list may have 8 MiB.
A known tool keeps its schema where the server has none that can be parsed.";

/// Longest list that is read, in bytes.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// A list is longer than a call's body: as many values for its length.
const LIMITS: json::Limits = json::Limits { bytes_max: BYTES_MAX, depth_max: 64, values_max: 1 << 19 };

/// Runs the command.
#[must_use]
pub fn run(args: &Args, output: Output) -> Exit {
    match &args.command {
        Command::ImportMcp(import) => match import_mcp(import, output) {
            Ok(()) => Exit::Ok,
            Err(message) => {
                eprintln!("{}: {message}", import.file.display());
                Exit::Invalid
            }
        },
    }
}

fn import_mcp(args: &ImportMcp, output: Output) -> Result<(), String> {
    let known = match (&args.service, &args.policies) {
        (Some(service), Some(dir)) => known_tools(service, dir)?,
        (Some(_) | None, _) => BTreeMap::new(),
    };
    let json = json::parse(&read(args)?, LIMITS).map_err(|refused| refused.to_string())?;
    let document = json.node();
    let mut tools = tools(document, args.trust_annotations)?;
    let unread = schemas(document, &mut tools)?;
    for (name, tool) in &mut tools {
        if !args.schemas {
            tool.input = None;
        }
        let (why, known) = (unread.get(name), known.get(name));
        if let Some(known) = known {
            *tool = kept(known, tool, why);
        } else if args.service.is_some() {
            eprintln!("new: {name}");
        }
        match why.filter(|_| args.schemas) {
            Some(why) if tool.input.is_some() => {
                eprintln!("kept: the schema that the catalogue has of {name}; the server's {why}");
            }
            Some(Unread::Refused(why)) => eprintln!("left out: the schema of {name} {why}"),
            Some(Unread::Missing) | None => {}
        }
    }
    known.keys().filter(|name| !tools.contains_key(*name)).for_each(|name| eprintln!("gone: {name}"));
    if document.get("nextCursor").is_some() || document.get("result").is_some_and(|r| r.get("nextCursor").is_some()) {
        eprintln!("the list has another page: import every page");
    }
    match output {
        Output::Text | Output::Junit => print!("{}", written::yaml(&tools)),
        Output::Json => println!("{}", json!({"v": 1, "tools": written::json(&tools)})),
    }
    Ok(())
}

fn read(args: &ImportMcp) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let most = BYTES_MAX as u64 + 1;
    let taken = if args.file.as_os_str() == "-" {
        std::io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(&args.file).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    match taken {
        Ok(length) if length > BYTES_MAX => Err(format!("is longer than 8 MiB ({BYTES_MAX} bytes)")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

fn known_tools(service: &str, dir: &std::path::Path) -> Result<BTreeMap<String, Tool>, String> {
    let policies = block_on(Policies::load(dir)).map_err(|_| "could not start the runtime".to_owned())?;
    let snapshot =
        policies.snapshot.ok_or_else(|| format!("`{}` does not load; run `picket validate`", dir.display()))?;
    let found = snapshot.catalog().service(service);
    found.map(|found| found.tools.clone()).ok_or_else(|| format!("the catalogue has no service `{service}`"))
}

fn list(document: Node<'_>) -> Result<List<'_>, String> {
    let result = document.get("result").unwrap_or(document);
    let list = result.get("tools").unwrap_or(result).as_list();
    list.ok_or_else(|| "is not an answer to `tools/list`: expected `{\"tools\": [...]}`".to_owned())
}

/// The tools of a list, by name.
fn tools(document: Node<'_>, trust: bool) -> Result<BTreeMap<String, Tool>, String> {
    let list = list(document)?;
    let mut tools = BTreeMap::new();
    for (index, tool) in list.iter().enumerate() {
        let name = tool.get("name").and_then(Node::as_text).ok_or_else(|| format!("tool {index} has no name"))?;
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        if !(1..=128).contains(&name.len()) || !name.bytes().all(legal) {
            return Err(format!("`{}` cannot be a tool: 1 to 128 of A-Z a-z 0-9 . _ -", name.escape_debug()));
        }
        let imported = Tool {
            effect: if trust { effect(tool) } else { Effect::Unknown },
            external: !trust || annotation(tool, "openWorldHint").unwrap_or(true),
            headers: headers(tool),
            ..Tool::default()
        };
        if tools.insert(name.to_owned(), imported).is_some() {
            return Err(format!("tool `{name}` is listed twice"));
        }
    }
    Ok(tools)
}

/// Why a tool's schema is not taken from the server.
enum Unread {
    /// It says none.
    Missing,
    /// A catalogue would refuse it.
    Refused(String),
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

/// Adds the schemas of a list's tools. Answers by name those that are not taken.
fn schemas(document: Node<'_>, tools: &mut BTreeMap<String, Tool>) -> Result<BTreeMap<String, Unread>, String> {
    let mut unread = BTreeMap::new();
    for listed in list(document)?.iter() {
        let named = listed.get("name").and_then(Node::as_text).and_then(|name| Some((name, tools.get_mut(name)?)));
        let Some((name, tool)) = named else { continue };
        let Some(schema) = listed.get("inputSchema") else {
            unread.insert(name.to_owned(), Unread::Missing);
            continue;
        };
        let schema: serde_json::Value =
            serde_json::from_str(&schema.canonical()).map_err(|error| format!("the schema of `{name}`: {error}"))?;
        match Input::read(&schema) {
            Ok(input) => tool.input = Some(Arc::new(input)),
            Err(why) => {
                unread.insert(name.to_owned(), Unread::Refused(why));
            }
        }
    }
    Ok(unread)
}

/// A tool that both know. The operator's entry is kept; only the mirrored headers, and a schema that was read, are the
/// server's.
fn kept(known: &Tool, listed: &Tool, unread: Option<&Unread>) -> Tool {
    let headers = match unread {
        // Without a schema the server says nothing of mirrors.
        Some(Unread::Missing) => &known.headers,
        Some(Unread::Refused(_)) | None => &listed.headers,
    };
    let input = listed.input.as_ref().or(known.input.as_ref());
    Tool { headers: headers.clone(), input: input.cloned(), ..known.clone() }
}

fn annotation(tool: Node<'_>, name: &str) -> Option<bool> {
    tool.get("annotations")?.get(name)?.as_bool()
}

/// By MCP's own defaults: a tool without annotations may be destructive.
fn effect(tool: Node<'_>) -> Effect {
    if annotation(tool, "readOnlyHint") == Some(true) {
        Effect::Read
    } else if annotation(tool, "destructiveHint") == Some(false) {
        Effect::Write
    } else {
        Effect::Destructive
    }
}

/// Arguments that the schema mirrors in a header.
fn headers(tool: Node<'_>) -> BTreeMap<String, String> {
    let properties = tool.get("inputSchema").and_then(|schema| schema.get("properties")).and_then(Node::as_object);
    let mirrored = |(name, schema): (&str, Node<'_>)| {
        Some((name.to_owned(), schema.get("x-mcp-header").and_then(Node::as_text)?.to_owned()))
    };
    properties.into_iter().flat_map(Object::iter).filter_map(mirrored).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[
        {"name":"deploy.plan","annotations":{"readOnlyHint":true,"openWorldHint":false}},
        {"name":"tickets.get","inputSchema":{"properties":{"ticket_id":{"type":"string","x-mcp-header":"Ticket"}}}},
        {"name":"on","annotations":{"destructiveHint":false}}]}}"#;

    fn imported(trust: bool) -> String {
        written::yaml(&tools(json::parse(LIST.as_bytes(), LIMITS).unwrap().node(), trust).unwrap())
    }

    #[test]
    fn a_servers_own_word_counts_only_where_it_is_trusted() {
        assert_eq!(
            imported(false),
            "tools:\n  deploy.plan: {effect: unknown, external: true}\n  \"on\": {effect: unknown, external: true}\n  \
             tickets.get: {effect: unknown, external: true, headers: {ticket_id: Ticket}}\n"
        );
        assert_eq!(
            imported(true),
            "tools:\n  deploy.plan: {effect: read}\n  \"on\": {effect: write, external: true}\n  \
             tickets.get: {effect: destructive, external: true, headers: {ticket_id: Ticket}}\n"
        );
    }

    #[test]
    fn imported_tools_are_a_valid_catalogue() {
        let text = imported(true).replace('\n', "\n    ");
        let catalog = format!("services:\n  - id: a/b\n    protocol: mcp\n    {text}");
        let catalog = picket_core::catalog::Catalog::parse("catalog.yaml", &catalog).unwrap();
        assert_eq!(catalog.service("a/b").unwrap().tools.len(), 3);
    }

    #[test]
    fn schemas_are_written_as_the_server_sent_them_and_read_again() {
        let schema = r#"{"type":"object","description":"a: b # \"c\" \u00fc\n \ud83d\ude00 \u0007","properties":
            {"on":{"type":"integer","maximum":1000},"no: #":{"enum":["yes","~"]}},"required":["on"],"additionalProperties":false}"#;
        let list = format!(
            r#"[{{"name":"a","inputSchema":{schema}}},{{"name":"b","inputSchema":{{"type":"string"}}}},{{"name":"c"}}]"#
        );
        let document = json::parse(list.as_bytes(), LIMITS).unwrap();
        let mut found = tools(document.node(), false).unwrap();
        schemas(document.node(), &mut found).unwrap();
        let text = written::yaml(&found).replace('\n', "\n    ");
        let catalog = format!("services:\n  - id: a/b\n    protocol: mcp\n    {text}");
        let catalog =
            picket_core::catalog::Catalog::parse("catalog.yaml", &catalog).unwrap_or_else(|e| panic!("{text}\n{e:?}"));
        let read = &catalog.service("a/b").unwrap().tools;
        assert_eq!((read["b"].input.as_ref(), read["c"].input.as_ref()), (None, None));
        assert_eq!(read["a"].input, found["a"].input);
        assert_eq!(
            read["a"].input.as_ref().unwrap().written,
            serde_json::from_str::<serde_json::Value>(schema).unwrap()
        );
    }

    #[test]
    fn an_ambiguous_list_is_rejected() {
        for text in [r#"{"tools":{}}"#, r#"[{"name":"a"},{"name":"a"}]"#, r#"[{"name":"a/b"}]"#, r#"[{}]"#, "1"] {
            let document = json::parse(text.as_bytes(), LIMITS).unwrap();
            assert!(tools(document.node(), true).is_err(), "{text}");
        }
    }
}
