//! What is to be pasted where, so that a host of agents starts this server.

use crate::error::Error;
use crate::session::Session;
use clap::ValueEnum;
use serde_json::json;

/// A host of agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Host {
    /// Claude Code: `.mcp.json` of the project.
    Claude,
    /// Claude's desktop application: its own configuration file.
    ClaudeDesktop,
    /// Codex: `~/.codex/config.toml`.
    Codex,
    /// Cursor: `.cursor/mcp.json` of the project.
    Cursor,
    /// VS Code: `.vscode/mcp.json` of the project.
    Vscode,
    /// Gemini CLI: `.gemini/settings.json` of the project.
    Gemini,
    /// OpenCode: `opencode.json` of the project.
    Opencode,
    /// Windsurf: its own configuration file.
    Windsurf,
}

impl Host {
    /// The file that the text goes into.
    pub fn file(self) -> &'static str {
        match self {
            Self::Claude => ".mcp.json",
            Self::ClaudeDesktop => "claude_desktop_config.json (Settings, Developer, Edit Config)",
            Self::Codex => "~/.codex/config.toml",
            Self::Cursor => ".cursor/mcp.json",
            Self::Vscode => ".vscode/mcp.json",
            Self::Gemini => ".gemini/settings.json",
            Self::Opencode => "opencode.json",
            Self::Windsurf => "~/.codeium/windsurf/mcp_config.json",
        }
    }
}

/// The text, with this binary and this coordinator in it.
pub fn config(host: Host, session: &Session) -> Result<String, Error> {
    let program =
        std::env::current_exe().map_err(|source| Error::System { operation: "find this program", source })?;
    let program = program.display().to_string();
    let mut args = vec!["mcp".to_owned()];
    match &session.coordinator {
        Some(address) => args.extend(["--coordinator".to_owned(), address.clone()]),
        None => args.extend(["--data-dir".to_owned(), session.data_dir.display().to_string()]),
    }
    let server = json!({"command": program, "args": args});
    let (outer, server) = match host {
        Host::Codex => {
            // A JSON string is a basic string of TOML.
            let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
            let args: Vec<String> = args.iter().map(quoted).collect();
            // A wait takes up to 50 seconds, and a call may carry it.
            return Ok(format!(
                "[mcp_servers.windlass]\ncommand = {}\nargs = [{}]\ntool_timeout_sec = 60\n",
                quoted(&program),
                args.join(", ")
            ));
        }
        Host::Vscode => ("servers", json!({"type": "stdio", "command": program, "args": args})),
        Host::Opencode => {
            let command: Vec<&String> = std::iter::once(&program).chain(&args).collect();
            ("mcp", json!({"type": "local", "command": command, "enabled": true}))
        }
        Host::Claude | Host::ClaudeDesktop | Host::Cursor | Host::Gemini | Host::Windsurf => {
            ("mcpServers", server)
        }
    };
    let text = serde_json::to_string_pretty(&json!({outer: {"windlass": server}}));
    text.map(|text| text + "\n").map_err(|source| Error::Encode { what: "a host's configuration", source })
}
