//! The protocol's side: which tools, pages and prompts there are, and a call handed to its tool.

use super::catalogue::{TOOLS, Tool};
use super::guide::{self, PAGES};
use super::output;
use crate::command::improve;
use crate::error::Error;
use crate::render::text::neutral;
use crate::session::Session;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, GetPromptRequestParams, GetPromptResponse, GetPromptResult,
    Implementation, ListPromptsResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ResourceContents,
    Role, ServerCapabilities, ServerConfig, Tool as Described,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};

/// The server over one session.
struct Server {
    session: Session,
}

/// Serves on standard input and output until the host closes them.
pub async fn serve(session: &Session) -> Result<(), Error> {
    let server = Server { session: session.keyed(None) };
    let failed = |problem: &dyn std::fmt::Display| {
        let message = format!("the host does not speak the Model Context Protocol: {problem}");
        output::invalid(message, "`windlass mcp --print-config HOST` prints how a host starts it")
    };
    let running = match server.serve(rmcp::transport::io::stdio_pipes()).await {
        Ok(running) => running,
        // A host that goes before it has said hello has nothing to be told.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(problem) => return Err(failed(&problem)),
    };
    running.waiting().await.map(|_| ()).map_err(|problem| failed(&problem))
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("windlass", env!("CARGO_PKG_VERSION")))
            .with_instructions(guide::INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(TOOLS.iter().map(Tool::described).collect()))
    }

    fn get_tool(&self, name: &str) -> Option<Described> {
        Tool::find(name).map(Tool::described)
    }

    /// A tool that there is answers every problem as a result, so that the agent sees it; only one that
    /// there is not is an error of the protocol.
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = Tool::find(&request.name) else {
            let names: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
            let message =
                format!("there is no tool {:?}; there are {}", neutral(&request.name), names.join(", "));
            return Err(ErrorData::invalid_params(message, None));
        };
        let session = self.session.keyed(None);
        let outcome = match tool.call(request.arguments.unwrap_or_default(), &session).await {
            Err(problem) => Err(improve(problem, &session).await),
            done => done,
        };
        Ok(output::result(outcome).into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(PAGES.iter().map(guide::Page::listed).collect()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let missing =
            || ErrorData::resource_not_found(format!("there is no {:?}", neutral(&request.uri)), None);
        let page = PAGES.iter().find(|page| page.uri == request.uri).ok_or_else(missing)?;
        let contents = ResourceContents::text(page.text, page.uri).with_mime_type("text/markdown");
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![guide::prompt()]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name != guide::PROMPT {
            let message = format!("there is no prompt {:?}", neutral(&request.name));
            return Err(ErrorData::invalid_params(message, None));
        }
        let campaign = request.arguments.as_ref().and_then(|map| map.get("campaign")?.as_str());
        let missing = || ErrorData::invalid_params("the argument `campaign` is missing", None);
        let text = guide::begin(&neutral(campaign.ok_or_else(missing)?));
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).into())
    }
}
