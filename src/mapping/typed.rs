//! A call of a tool with typed arguments: the action is the tool's own, and the context holds the arguments as a record.

use smol_str::SmolStr;

use crate::body::mcp::{self, input};
use crate::catalog::Service;
use crate::failure::Failure;
use crate::query::{Query, Value, action};

use super::action::{Asked, What};

/// Adds `context.input` and names the tool's own action, where the catalogue has the tool's schema.
///
/// # Errors
/// As [`input::read`].
pub(super) fn add(query: &mut Query, service: &Service, asked: &Asked) -> Result<(), Failure> {
    let What::Mcp(mcp::Ask::CallTool { name, arguments }) = &asked.what else { return Ok(()) };
    let Some(types) = service.tools.get(name).and_then(|tool| tool.input.as_ref()) else { return Ok(()) };
    let record = input::read(arguments.node(), &types.record)?;
    query.context.insert(SmolStr::new_static("input"), Value::Record(record));
    query.action = action::of_tool(&service.id, name).into();
    Ok(())
}
