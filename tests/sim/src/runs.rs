//! What attempts do, drawn at random when their shim starts: the simulator's truth.

use crate::world::World;
use windlass_shared::attempt::{Ending, Kind, Memory, Order, Outcome, Output, Reading};
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::Digest;
use windlass_shared::id::IterationNumber;
use windlass_shared::path::TreePath;

impl World {
    /// How long an attempt lives by itself, and what comes of it.
    pub(crate) fn plan_outcome(&mut self, order: &Order) -> (u64, Outcome) {
        let ending = self.plan_ending(order);
        let duration_ms = match ending {
            Ending::HardTimeout => order.hard_limit_ms,
            Ending::SoftTimeout => self.random.range(order.soft_limit_ms, order.hard_limit_ms),
            _ => self.random.range(50, order.soft_limit_ms.clamp(51, 20_000)),
        };
        let mut outcome = Outcome::bare(ending);
        outcome.duration_ms = duration_ms;
        outcome.isolation = "none".to_owned();
        outcome.log_tail = "the last line".to_owned();
        outcome.outputs = self.plan_outputs(order, &outcome.ending);
        if outcome.outputs.iter().any(|output| output.digest.is_some()) {
            outcome.results = Some(self.unique_digest("results"));
        }
        if order.kind == Kind::Score {
            outcome.reading = Some(self.plan_reading());
        }
        let is_made = order.score_artifact.is_some() && outcome.ending == Ending::Finished;
        if is_made && self.random.chance(900) {
            outcome.score_artifact = Some(self.unique_digest("predictions"));
        }
        if order.kind == Kind::Run {
            outcome.reading = Some(self.plan_reading());
            if self.random.chance(30) {
                outcome.frozen_changed = Some(TreePath::parse("evaluate.py").expect("a literal path"));
            }
            let patterns = 0..order.fix_patterns.len() as u32;
            outcome.fix_matches = patterns.filter(|_| self.random.chance(600)).collect();
        }
        (duration_ms, outcome)
    }

    fn plan_ending(&mut self, order: &Order) -> Ending {
        if self.random.chance(self.weather.machinery_in_a_thousand) {
            return match self.random.below(3) {
                0 => Ending::GpuFault { detail: "XID 79".to_owned() },
                1 => Ending::DiskFull { over: None },
                _ => Ending::Infra { detail: "an upload failed".to_owned() },
            };
        }
        let may_be_fixed = order.key.id.iteration != IterationNumber::BASELINE;
        let in_a_thousand = match order.kind {
            Kind::Run if may_be_fixed && self.ambush.is_for("fix_applied") => 750,
            Kind::Run => 330,
            Kind::Analysis | Kind::Score => 80,
        };
        if !self.random.chance(in_a_thousand) {
            return Ending::Finished;
        }
        match self.random.below(5) {
            0 => Ending::OutOfMemory { memory: Memory::Host },
            1 => Ending::SoftTimeout,
            2 => Ending::HardTimeout,
            3 => Ending::Crashed { code: None, signal: Some(11) },
            _ => Ending::Crashed { code: Some(1), signal: None },
        }
    }

    /// Mostly a number that no other attempt has, so that a metric in the wrong place is seen (I2).
    fn plan_reading(&mut self) -> Reading {
        if self.random.chance(60) {
            return Reading::None { reason: "no line like `val_acc: …`".to_owned() };
        }
        let coarse = self.random.range(50, 95);
        let text = if self.random.chance(200) {
            format!("0.{coarse}")
        } else {
            self.drawn += 1;
            format!("0.{coarse}{:06}", self.drawn)
        };
        Reading::Metric { value: Decimal::parse(&text).expect("a decimal"), line: 1 }
    }

    fn plan_outputs(&mut self, order: &Order, ending: &Ending) -> Vec<Output> {
        let mut outputs = Vec::new();
        for script in &order.scripts {
            let is_made = !ending.is_infrastructure() && self.random.chance(880);
            let digest = is_made.then(|| self.unique_digest("output"));
            let problem = (!is_made).then(|| "the script failed".to_owned());
            let first_line = if is_made { "a first line".to_owned() } else { String::new() };
            outputs.push(Output { path: script.output.clone(), digest, first_line, problem });
        }
        outputs
    }

    pub(crate) fn unique_digest(&mut self, what: &str) -> Digest {
        Digest::of(self.draw(what).as_bytes())
    }
}
