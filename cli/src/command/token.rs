//! `windlass token create`: lets one machine or person join, once.

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::v1::CreateTokenRequest;
use windlass_shared::time::Span;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a token that lets one machine or person join, once
    Create(Args),
}

/// For whom.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What its holder becomes
    #[arg(long, value_name = "R")]
    pub role: Role,
    /// Under which name; without one its holder takes a name that nobody has had
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How long it may be used, at most 24 h
    #[arg(long, value_name = "SPAN", default_value = "15 min", value_parser = Span::parse)]
    pub ttl: Span,
    /// Where the new machine reaches the coordinator, as HOST:PORT [default: what the coordinator knows]
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
    #[command(flatten)]
    pub dry: Dry,
}

/// What an identity is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Carries attempts out
    Worker,
    /// Has campaigns of its own
    Client,
    /// May do all
    Admin,
}

#[derive(Serialize)]
struct Made {
    /// None of one that was only asked about.
    token: Option<String>,
    role: &'static str,
    name: Option<String>,
    expires_wall_ms: i64,
}

/// Makes one. The token alone is on standard output.
pub async fn run(command: Command, session: &Session) -> Result<(), Error> {
    let Command::Create(args) = command;
    let session = &session.asking(args.dry);
    let role = match args.role {
        Role::Worker => "worker",
        Role::Client => "client",
        Role::Admin => "admin",
    };
    let request = CreateTokenRequest {
        role: role.to_owned(),
        name: args.name.clone().unwrap_or_default(),
        // 0 would be the default.
        ttl_ms: args.ttl.ms.max(1),
        address: args.address.unwrap_or_default(),
    };
    let client = Client::connect(session).await?;
    let made = client.identities().create_token(request).await?.into_inner();
    let token = Some(made.token).filter(|token| !token.is_empty());
    if session.is_json() {
        let expires_wall_ms = made.expires_wall_ms;
        return session.json("windlass.token/1", &Made { token, role, name: args.name, expires_wall_ms });
    }
    let use_it = match args.role {
        Role::Worker => "windlass worker --join TOKEN",
        Role::Client | Role::Admin => "windlass join TOKEN",
    };
    session.say(&format!("use it once, within {}: {use_it}", args.ttl));
    token.map_or(Ok(()), |token| session.print(&format!("{token}\n")))
}
