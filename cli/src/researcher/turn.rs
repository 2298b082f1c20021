//! What a turn asks, from the environment that `windlass research` sets (docs/agents.md, "A turn").

use crate::error::Error;
use std::path::PathBuf;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A lever.
    Propose,
    /// Another, or a better one: the last was refused.
    Repair,
    /// What an iteration taught.
    Conclude,
    /// A fix of a failed run.
    Fix,
}

impl Kind {
    /// The word in the environment.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Propose => "propose",
            Self::Repair => "repair",
            Self::Conclude => "conclude",
            Self::Fix => "fix",
        }
    }
}

/// One turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What is asked.
    pub kind: Kind,
    /// Its folder: answers go here.
    pub dir: PathBuf,
    /// The campaign.
    pub campaign: String,
    /// The iteration to conclude, or the one that a lever cites.
    pub iteration: Option<u32>,
    /// Who asks.
    pub researcher: String,
}

impl Turn {
    /// From this process's environment.
    pub fn read() -> Result<Self, Error> {
        Self::of(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let given = |name: &'static str| variable(name).ok_or_else(|| refuse(format!("{name} is not set")));
        let word = given("WINDLASS_TURN")?;
        let kinds = [Kind::Propose, Kind::Repair, Kind::Conclude, Kind::Fix];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == word);
        let kind = kind.ok_or_else(|| refuse(format!("WINDLASS_TURN is {word:?}, which is no turn")))?;
        let number = |text: String| {
            text.parse().map_err(|_| refuse(format!("WINDLASS_ITERATION is {text:?}, which is no number")))
        };
        let iteration = variable("WINDLASS_ITERATION").map(number).transpose()?;
        if kind == Kind::Conclude && iteration.is_none() {
            return Err(refuse("WINDLASS_ITERATION is not set".to_owned()));
        }
        Ok(Self {
            kind,
            dir: PathBuf::from(given("WINDLASS_TURN_DIR")?),
            campaign: given("WINDLASS_CAMPAIGN")?,
            iteration,
            researcher: variable("WINDLASS_RESEARCHER").unwrap_or_else(|| "windlass".to_owned()),
        })
    }

    /// The copy of the best's tree.
    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }
}

fn refuse(message: String) -> Error {
    Error::Input {
        message,
        remedy:
            "start it as the command of `windlass research C -- windlass researcher …`, which sets what a \
                 turn needs (docs/agents.md)"
                .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Turn, Error> {
        Turn::of(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_turn_is_what_the_environment_says_and_what_lacks_is_named() {
        let all = [
            ("WINDLASS_TURN", "conclude"),
            ("WINDLASS_TURN_DIR", "/turns/3"),
            ("WINDLASS_CAMPAIGN", "digits"),
            ("WINDLASS_ITERATION", "7"),
        ];
        let turn = read(&all).expect("a turn");
        assert_eq!((turn.kind, turn.iteration), (Kind::Conclude, Some(7)));
        assert_eq!(turn.work(), PathBuf::from("/turns/3/work"));
        for (left_out, want) in [
            (0, "WINDLASS_TURN is not set"),
            (1, "WINDLASS_TURN_DIR is not set"),
            (2, "WINDLASS_CAMPAIGN is not set"),
            (3, "WINDLASS_ITERATION is not set"),
        ] {
            let mut some = all.to_vec();
            some.remove(left_out);
            assert_eq!(read(&some).expect_err(want).to_report().message, want);
        }
        let odd = read(&[("WINDLASS_TURN", "dance")]).expect_err("no turn").to_report();
        assert!(odd.message.contains("\"dance\"") && odd.remedy.is_some());
    }
}
