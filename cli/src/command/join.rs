//! `windlass join TOKEN`: makes this machine's commands known to a coordinator elsewhere.

use crate::args::Dry;
use crate::error::Error;
use crate::session::Session;
use serde::Serialize;
use std::io::Read;
use windlass_shared::join::JoinToken;
use windlass_worker::identity::{self, Wanted, file_in};

/// The longest text that is read as a token, bytes.
const TOKEN_MAX_BYTES: u64 = 64 << 10;

/// By which token, as whom.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The token of `windlass token create`, however it was broken into lines; `-` reads standard input
    #[arg(value_name = "TOKEN", required = true)]
    pub token: Vec<String>,
    /// Under which name, where the token says none [default: the user's, else the host's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    pub dry: Dry,
}

#[derive(Serialize)]
struct Joined {
    role: &'static str,
    name: String,
    coordinator: String,
    /// None of one that was only asked about.
    expires_wall_ms: Option<i64>,
}

/// Joins.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let token = JoinToken::parse(&text(&args.token)?).map_err(identity::Error::from)?;
    let session = &session.asking(args.dry);
    let default_name = own_name(|variable| std::env::var(variable).ok());
    if session.is_dry {
        // A token is used by its first use: what it says is all that can be told before.
        let name = token.name.clone().or(args.name).unwrap_or(default_name);
        let (role, coordinator) = (token.role.as_str(), token.address);
        session.say(&format!("would join {coordinator} as {role} {name}"));
        let joined = Joined { role, name, coordinator, expires_wall_ms: None };
        return if session.is_json() { session.json("windlass.joined/1", &joined) } else { Ok(()) };
    }
    let wanted = Wanted { worker: None, name: args.name, default_name };
    let joined = identity::join(&token, wanted, &file_in(&session.data_dir)).await?;
    let (role, name) = (joined.role.as_str(), joined.name);
    if session.is_json() {
        let (coordinator, expires_wall_ms) = (joined.address, Some(joined.expires_wall_ms));
        return session.json("windlass.joined/1", &Joined { role, name, coordinator, expires_wall_ms });
    }
    session.say(&format!("joined {} as {role} {name}", joined.address));
    Ok(())
}

/// Who this is where nobody says: the user, and the machine where nobody has logged in, as in a container.
fn own_name(variable: impl Fn(&str) -> Option<String>) -> String {
    let user = ["USER", "LOGNAME"].into_iter().filter_map(variable).find(|name| !name.is_empty());
    user.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

/// The token's text, from the command line or standard input.
pub fn text(words: &[String]) -> Result<String, Error> {
    if words != ["-"] {
        return Ok(words.concat());
    }
    let mut text = String::new();
    let read = std::io::stdin().take(TOKEN_MAX_BYTES).read_to_string(&mut text);
    read.map_err(|source| Error::System { operation: "read a token from standard input", source })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_says_no_name_has_the_users_and_else_the_hosts() {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        for (user, logname, want) in [
            (Some("ada"), Some("root"), "ada"),
            (Some(""), Some("ada"), "ada"),
            (None, Some("ada"), "ada"),
            (Some(""), None, host.as_str()),
            (None, None, host.as_str()),
        ] {
            let set = |name: &str| if name == "USER" { user } else { logname }.map(str::to_owned);
            assert_eq!(own_name(set), want);
        }
    }
}
