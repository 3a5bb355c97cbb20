//! Validates the schemas of tools' arguments.

use std::sync::Arc;

use serde_saphyr::Spanned;

use super::super::file::span_of;
use super::super::mcp::input::Input;
use super::Checker;
use crate::problem::Problem;

/// Most tools of a catalogue that may have a schema. Each is an action, and a policy that reads what the actions of all
/// tools have is checked against every one of them.
pub const TYPED_TOOLS_MAX: usize = 256;

impl Checker<'_> {
    /// Reads a tool's schema, and notes what of it policies do not see as typed.
    pub(super) fn input(&mut self, tool: &str, written: &Spanned<serde_json::Value>) -> Option<Arc<Input>> {
        let span = span_of(written);
        self.typed_tools += 1;
        if self.typed_tools == TYPED_TOOLS_MAX + 1 {
            let message = format!("more than {TYPED_TOOLS_MAX} tools have an `input_schema`");
            self.wrong(span.clone(), message, "keep it where a policy reads `context.input`; the others need none");
        }
        let input = match Input::read(&written.value) {
            Ok(input) => input,
            Err(why) => {
                let help = "a JSON Schema as the server's `tools/list` has it, or leave it out";
                self.wrong(span, format!("the `input_schema` of tool `{tool}` {why}"), help);
                return None;
            }
        };
        if !input.left_out.is_empty() {
            let left: Vec<_> = input.left_out.iter().map(|left| format!("`{}` ({})", left.pointer, left.why)).collect();
            let message = format!("`context.input` of tool `{tool}` leaves out {}", left.join(", "));
            let help = "policies read these by JSON pointer, as `context.args.getTag(\"/name\")`";
            self.catalog.warnings.push(Problem::note(self.file, message).at(span).help(help));
        }
        Some(Arc::new(input))
    }
}
