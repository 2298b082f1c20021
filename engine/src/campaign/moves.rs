//! Moves (P11): swings first, and never too many exploits in a row.

use super::state::Campaign;
use serde::{Deserialize, Serialize};
use windlass_shared::bindings::MoveScheduler;
use windlass_shared::lever::{Kind, Move};
use windlass_shared::view::MovesView;

/// What was pulled so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves {
    /// Swings.
    pub swings: u32,
    /// Exploits since the last swing or merge.
    pub exploits_in_a_row: u32,
}

impl Moves {
    /// A lever of this kind was pulled.
    pub(super) fn pulled(&mut self, kind: Kind) {
        match kind.as_move() {
            Move::Swing => *self = Self { swings: self.swings + 1, exploits_in_a_row: 0 },
            Move::Merge => self.exploits_in_a_row = 0,
            Move::Exploit => self.exploits_in_a_row += 1,
        }
    }

    /// It was not tried after all: the machinery failed it, its owner cancelled it, or it is run again.
    pub(super) fn not_tried(&mut self, kind: Kind) {
        match kind.as_move() {
            Move::Swing => self.swings = self.swings.saturating_sub(1),
            Move::Merge => {}
            Move::Exploit => self.exploits_in_a_row = self.exploits_in_a_row.saturating_sub(1),
        }
    }

    /// The moves that may be pulled now.
    pub fn allowed(&self, scheduler: &MoveScheduler) -> &'static [Move] {
        if self.swings < scheduler.swing_budget {
            &[Move::Swing]
        } else if self.exploits_in_a_row >= scheduler.stagnation_limit {
            &[Move::Swing, Move::Merge]
        } else {
            &[Move::Swing, Move::Merge, Move::Exploit]
        }
    }
}

impl Campaign {
    /// What a lever of this kind waits for, if its move may not be pulled now.
    pub fn waits_for_move(&self, kind: Kind) -> Option<String> {
        let scheduler = self.bindings.windlass.move_scheduler.as_ref()?;
        let moves = &self.moves;
        if moves.allowed(scheduler).contains(&kind.as_move()) {
            return None;
        }
        Some(if moves.swings < scheduler.swing_budget {
            match scheduler.swing_budget {
                1 => "for a swing: the first lever is to be one".to_owned(),
                budget => format!(
                    "for a swing: the first {budget} levers are swings, and {} of them were pulled",
                    moves.swings
                ),
            }
        } else {
            format!("for a swing or a merge: {} exploits were pulled in a row", moves.exploits_in_a_row)
        })
    }

    /// The counters, where moves are scheduled.
    pub fn moves_view(&self) -> Option<MovesView> {
        let scheduler = self.bindings.windlass.move_scheduler.as_ref()?;
        let allowed = self.moves.allowed(scheduler).iter().map(|one| one.as_str().to_owned());
        Some(MovesView {
            swings: self.moves.swings,
            swing_budget: scheduler.swing_budget,
            exploits_in_a_row: self.moves.exploits_in_a_row,
            stagnation_limit: scheduler.stagnation_limit,
            allowed: allowed.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p11_swings_first_then_no_more_exploits_in_a_row_than_the_limit() {
        use Kind::{Ablation, Change, Exploit, Merge, Simplification, Swing};
        let scheduler = MoveScheduler { swing_budget: 2, stagnation_limit: 3 };
        let check = |pulled: &[Kind], want: &[Move]| {
            let mut moves = Moves::default();
            for kind in pulled {
                moves.pulled(*kind);
            }
            assert_eq!(moves.allowed(&scheduler), want, "{pulled:?}");
        };
        let (swings, bold) = (&[Move::Swing][..], &[Move::Swing, Move::Merge][..]);
        let any = &[Move::Swing, Move::Merge, Move::Exploit][..];
        check(&[], swings);
        check(&[Swing], swings);
        check(&[Swing, Swing], any);
        check(&[Swing, Swing, Exploit, Change], any);
        check(&[Swing, Swing, Exploit, Change, Simplification], bold);
        check(&[Swing, Swing, Exploit, Change, Ablation, Merge], any);
        check(&[Swing, Swing, Exploit, Change, Merge, Exploit, Exploit], any);
        check(&[Swing, Swing, Exploit, Exploit, Exploit, Swing], any);
    }

    #[test]
    fn p11_what_was_not_tried_does_not_count() {
        let mut moves = Moves { swings: 1, exploits_in_a_row: 0 };
        moves.pulled(Kind::Swing);
        moves.not_tried(Kind::Swing);
        moves.pulled(Kind::Exploit);
        moves.not_tried(Kind::Exploit);
        moves.not_tried(Kind::Exploit);
        assert_eq!(moves, Moves { swings: 1, exploits_in_a_row: 0 });
    }
}
