//! Parameters of A2A operations, for all bindings.
//!
//! Knows: the members of each operation in each version. Must not know: JSON-RPC, paths.

use super::super::members::{Members, refused};
use super::super::url::Url;
use super::{Ask, Message};
use crate::catalog::a2a::Version;
use crate::failure::Failure;

/// Members of a message that are read, or that must not be sent in another spelling.
const MESSAGE: [&str; 9] =
    ["messageId", "contextId", "taskId", "role", "parts", "kind", "metadata", "extensions", "referenceTaskIds"];

/// An operation of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Send,
    GetTask,
    ListTasks,
    CancelTask,
    Subscribe,
    CreatePush,
    GetPush,
    ListPush,
    DeletePush,
    ExtendedCard,
}

impl Operation {
    fn ask(self) -> Ask {
        match self {
            Self::Send | Self::ExtendedCard => Ask::Send,
            Self::GetTask | Self::ListTasks | Self::Subscribe => Ask::ReadTask,
            Self::CancelTask => Ask::CancelTask,
            Self::CreatePush | Self::GetPush | Self::ListPush | Self::DeletePush => Ask::ConfigurePush,
        }
    }

    /// The names of its parameters.
    pub fn parameters(self, version: Version) -> &'static [&'static str] {
        match (version, self) {
            (Version::V03, Self::Send) => &["message", "configuration", "metadata"],
            (Version::V10, Self::Send) => &["tenant", "message", "configuration", "metadata"],
            (Version::V03, Self::GetTask) => &["id", "historyLength", "metadata"],
            (Version::V10, Self::GetTask) => &["tenant", "id", "historyLength"],
            (Version::V03, Self::CancelTask | Self::Subscribe | Self::ListPush) => &["id", "metadata"],
            (Version::V10, Self::CancelTask) => &["tenant", "id", "metadata"],
            (Version::V10, Self::Subscribe) => &["tenant", "id"],
            (Version::V03, Self::CreatePush) => &["taskId", "pushNotificationConfig"],
            (Version::V10, Self::CreatePush) => &["tenant", "id", "taskId", "url", "token", "authentication"],
            (Version::V03, Self::GetPush | Self::DeletePush) => &["id", "pushNotificationConfigId", "metadata"],
            (Version::V10, Self::GetPush | Self::DeletePush) => &["tenant", "taskId", "id"],
            (Version::V10, Self::ListPush) => &["tenant", "taskId", "pageSize", "pageToken"],
            (Version::V03, Self::ListTasks | Self::ExtendedCard) => &[],
            (Version::V10, Self::ExtendedCard) => &["tenant"],
            (Version::V10, Self::ListTasks) => &[
                "tenant",
                "contextId",
                "status",
                "pageSize",
                "pageToken",
                "historyLength",
                "statusTimestampAfter",
                "includeArtifacts",
            ],
        }
    }

    /// The parameter that names the task.
    pub fn task_parameter(self, version: Version) -> Option<&'static str> {
        match (self, version) {
            (Self::GetTask | Self::CancelTask | Self::Subscribe, Version::V03 | Version::V10) => Some("id"),
            (Self::GetPush | Self::ListPush | Self::DeletePush, Version::V03) => Some("id"),
            (Self::CreatePush, Version::V03 | Version::V10) => Some("taskId"),
            (Self::GetPush | Self::ListPush | Self::DeletePush, Version::V10) => Some("taskId"),
            (Self::Send | Self::ListTasks | Self::ExtendedCard, Version::V03 | Version::V10) => None,
        }
    }
}

/// The ids collected from a call; all mentions of one thing must agree.
#[derive(Debug, Default)]
pub struct Mentions {
    task_id: Option<String>,
    context_id: Option<String>,
    tenant: Option<String>,
    config_id: Option<String>,
    push_host: Option<String>,
}

impl Mentions {
    /// Takes a mention of the task.
    pub fn task(&mut self, id: Option<&str>) -> Result<(), Failure> {
        agree(&mut self.task_id, id, "task")
    }

    /// Takes a mention of the context.
    pub fn context(&mut self, id: Option<&str>) -> Result<(), Failure> {
        agree(&mut self.context_id, id, "context")
    }

    /// Takes a mention of the tenant.
    pub fn tenant(&mut self, id: Option<&str>) -> Result<(), Failure> {
        agree(&mut self.tenant, id, "tenant")
    }

    /// Takes a mention of the push configuration.
    pub fn config(&mut self, id: Option<&str>) -> Result<(), Failure> {
        agree(&mut self.config_id, id, "push configuration")
    }

    /// Takes an operation's parameters.
    ///
    /// # Errors
    /// `message_refused` for parameters that the operation does not have, and for two that disagree.
    pub fn parameters(&mut self, operation: Operation, version: Version, params: Members<'_>) -> Result<(), Failure> {
        params.only(operation.parameters(version))?;
        params.object("metadata", "`metadata`")?;
        self.tenant(params.text("tenant")?)?;
        if let Some(name) = operation.task_parameter(version) {
            self.task(params.text(name)?)?;
        }
        match (operation, version) {
            (Operation::Send, Version::V03 | Version::V10) => self.send(params, version),
            (Operation::ListTasks, Version::V03 | Version::V10) => self.context(params.text("contextId")?),
            (Operation::CreatePush, Version::V10) => self.push(params, version),
            (Operation::CreatePush, Version::V03) => {
                let config = params.object("pushNotificationConfig", "`pushNotificationConfig`")?;
                self.push(config.ok_or_else(|| params.wrong("pushNotificationConfig", "an object"))?, version)
            }
            (Operation::GetPush | Operation::DeletePush, Version::V10) => self.config(params.text("id")?),
            (Operation::GetPush | Operation::DeletePush, Version::V03) => {
                params.text("pushNotificationConfigId").map(drop)
            }
            (
                Operation::GetTask
                | Operation::CancelTask
                | Operation::Subscribe
                | Operation::ListPush
                | Operation::ExtendedCard,
                Version::V03 | Version::V10,
            ) => Ok(()),
        }
    }

    fn send(&mut self, params: Members<'_>, version: Version) -> Result<(), Failure> {
        let message = params.object("message", "`message`")?.ok_or_else(|| params.wrong("message", "an object"))?;
        message.spelled(&MESSAGE)?;
        message.required_text("messageId")?;
        let role = message.required_text("role")?;
        let known = match version {
            Version::V03 => ["user", "agent"],
            Version::V10 => ["ROLE_USER", "ROLE_AGENT"],
        };
        if !known.contains(&role) {
            return Err(message.wrong("role", &format!("`{}` or `{}`", known[0], known[1])));
        }
        message.required_objects("parts", "a part")?;
        self.task(message.text("taskId")?)?;
        self.context(message.text("contextId")?)?;
        let Some(configuration) = params.object("configuration", "`configuration`")? else { return Ok(()) };
        let push = match version {
            Version::V03 => {
                configuration.only(&["acceptedOutputModes", "blocking", "historyLength", "pushNotificationConfig"])?;
                configuration.object("pushNotificationConfig", "`pushNotificationConfig`")?
            }
            Version::V10 => {
                let known = ["acceptedOutputModes", "returnImmediately", "historyLength", "taskPushNotificationConfig"];
                configuration.only(&known)?;
                configuration.object("taskPushNotificationConfig", "`taskPushNotificationConfig`")?
            }
        };
        let Some(push) = push else { return Ok(()) };
        if version == Version::V10 {
            self.task(push.text("taskId")?)?;
            self.tenant(push.text("tenant")?)?;
        }
        self.push(push, version)
    }

    /// A push configuration: where the agent will send what becomes of the task.
    fn push(&mut self, config: Members<'_>, version: Version) -> Result<(), Failure> {
        config.only(match version {
            Version::V03 => &["id", "url", "token", "authentication"],
            Version::V10 => &["tenant", "id", "taskId", "url", "token", "authentication"],
        })?;
        let url = Url::parse(config.required_text("url")?).map_err(refused)?;
        self.push_host = Some(url.host().to_owned());
        Ok(())
    }

    /// The message, once everything was taken.
    ///
    /// # Errors
    /// `message_refused` where the operation is about a task and none is named.
    pub fn message(self, operation: Operation, version: Version) -> Result<Message, Failure> {
        if let (Some(name), None) = (operation.task_parameter(version), &self.task_id) {
            return Err(refused(format!("`{name}` must name the task")));
        }
        let Self { task_id, context_id, push_host, tenant: _, config_id: _ } = self;
        Ok(Message { version, id: None, ask: operation.ask(), task_id, context_id, push_host })
    }
}

/// Takes one more mention; an empty text is as good as none to some servers and an id to others.
fn agree(known: &mut Option<String>, mention: Option<&str>, what: &str) -> Result<(), Failure> {
    match (known.as_deref(), mention) {
        (_, None) => Ok(()),
        (_, Some("")) => Err(refused(format!("the id of the {what} is empty"))),
        (Some(known), Some(mention)) if known != mention => Err(refused(format!("two different ids name the {what}"))),
        (Some(_), Some(_)) => Ok(()),
        (None, Some(mention)) => {
            *known = Some(mention.to_owned());
            Ok(())
        }
    }
}
