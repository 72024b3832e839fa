//! What can happen next.

use super::operator::{Operator, Stage};
use super::state::{Shown, World};

/// Enough for anything to end.
const ROUNDS: usize = 200;

impl World {
    pub(super) fn successors(&self) -> Vec<Self> {
        let mut next = Vec::new();
        for n in 0..2 {
            self.of_operator(n, &mut next);
        }
        for (r, replica) in self.replicas.iter().enumerate() {
            // Of replicas that are alike, the first goes first.
            if self.replicas[..r].contains(replica) {
                continue;
            }
            if self.is_behind(r) {
                next.push(self.after(format!("replica {r} looks"), |world| world.look(r)));
            }
            if replica.owes_acknowledgement() {
                next.push(self.after(format!("replica {r} acknowledges"), |world| world.replicas[r].acknowledge()));
            }
            if self.left.restarts > 0 {
                next.push(self.after(format!("replica {r} restarts"), |world| {
                    world.left.restarts -= 1;
                    // By a newer version.
                    world.replicas[r].restart(true);
                }));
            }
        }
        if self.chapter + 1 < self.story.len() {
            next.push(self.after("the story goes on".to_owned(), |world| world.chapter += 1));
        }
        if self.left.handovers > 0 {
            next.push(self.after("another process leads".to_owned(), |world| {
                world.left.handovers -= 1;
                world.leader = 1 - world.leader;
                world.operators[world.leader] = Operator::started(world.chapter);
            }));
        }
        if self.left.others > 0 {
            next.push(self.after("another tenant is published".to_owned(), |world| {
                world.left.others -= 1;
                let version = world.next_version();
                world.show(Shown::Other(version));
            }));
        }
        next
    }

    fn of_operator(&self, n: usize, next: &mut Vec<Self>) {
        let operator = &self.operators[n];
        let leads = self.leader == n;
        if operator.has_ended || !(leads || self.has_led(n)) {
            return;
        }
        if leads && (!operator.has_contributed || operator.sees != self.chapter) {
            next.push(self.after(format!("{n} contributes"), |world| world.contribute(n)));
        }
        if leads && !operator.knows_replicas {
            next.push(self.after(format!("{n} knows the replicas"), |world| {
                world.operators[n].knows_replicas = true;
            }));
        }
        match operator.stage {
            Stage::Idle if self.is_due(n) => next.push(self.after(format!("{n} begins"), |world| world.begin(n))),
            Stage::Idle => return,
            Stage::Sweeping { has_asked: false, .. } | Stage::Writing { to: None, has_asked: true, .. }
                if leads && self.is_writing(1 - n) => {}
            _ => next.push(self.after(format!("{n} goes on: {:?}", Brief(&operator.stage)), |world| {
                world.go_on(n, true);
            })),
        }
        if self.left.lost_answers > 0 && matches!(operator.stage, Stage::Writing { has_asked: true, .. }) {
            next.push(self.after(format!("{n} writes, and the answer is lost"), |world| {
                world.left.lost_answers -= 1;
                world.go_on(n, false);
            }));
        }
        if self.left.crashes > 0 && !operator.is_idle() {
            next.push(self.after(format!("{n} crashes"), |world| {
                world.left.crashes -= 1;
                world.operators[n] = if leads { Operator::started(world.chapter) } else { Operator::ended() };
            }));
        }
    }

    /// Whether a write of the Secret is on its way. It began within the tenure of a process, which ends some seconds
    /// before another may lead, and takes effect before the other has read, decided and come to remove anything:
    /// nothing guards a creation after a removal, nor the parts that a config names which is not there yet.
    fn is_writing(&self, n: usize) -> bool {
        matches!(self.operators[n].stage, Stage::Writing { has_asked: true, .. })
    }

    /// Whether a process that does not lead ever did.
    fn has_led(&self, n: usize) -> bool {
        self.operators[n] != Operator::default()
    }

    fn after(&self, what: String, change: impl FnOnce(&mut Self)) -> Self {
        let mut world = self.clone();
        world.note(what);
        change(&mut world);
        world
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.operators.iter().all(Operator::is_idle)
    }

    /// Whether the leader alone, without any trouble, comes to what is asked for, in every replica, and is silent then.
    pub(super) fn at_rest(&self) -> Result<Self, String> {
        let mut world = self.clone();
        let n = world.leader;
        world.operators[1 - n] = Operator::ended();
        for _ in 0..ROUNDS {
            if let Some(broken) = world.broken() {
                return Err(format!("on the way to rest: {broken}"));
            }
            if !world.operators[n].is_idle() {
                world.go_on(n, true);
                continue;
            }
            world.operators[n].knows_replicas = true;
            if !world.operators[n].has_contributed || world.operators[n].sees != world.chapter {
                world.contribute(n);
            }
            let mut follows = true;
            for r in 0..world.replicas.len() {
                if !world.replicas[r].reads_parts {
                    world.replicas[r].restart(true);
                }
                while world.is_behind(r) {
                    world.look(r);
                    follows = false;
                }
                if world.replicas[r].owes_acknowledgement() {
                    world.replicas[r].acknowledge();
                    follows = false;
                }
            }
            if world.is_due(n) {
                world.begin(n);
            } else if follows {
                world.is_as_asked()?;
                return Ok(world);
            }
        }
        Err(format!("it does not come to rest: {:?}", world.config))
    }

    fn is_as_asked(&self) -> Result<(), String> {
        use super::texts::Text;
        let (asked, is) = (self.story[self.chapter], self.config.map(|stored| stored.text));
        let stays = asked == Some(Text::Faulty) && is.is_some();
        if asked != is && !stays {
            return Err(format!("{asked:?} is asked for, and {is:?} is published"));
        }
        if !self.replicas.iter().all(|replica| replica.is_at_rest(self.config)) {
            return Err(format!("{is:?} is published, and the replicas are {:?}", self.replicas));
        }
        let counted = self.counted(self.leader);
        if !matches!(is, None | Some(Text::Refused | Text::Faulty)) && counted != Some(self.replicas.len()) {
            return Err(format!("every replica runs {is:?}, and {counted:?} count"));
        }
        if self.has_exactly_the_parts_it_names() { Ok(()) } else { Err("parts are left over".to_owned()) }
    }
}

/// A stage without what it holds.
struct Brief<'a>(&'a Stage);

impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Stage::Idle => f.write_str("idle"),
            Stage::Read(_) => f.write_str("decides"),
            Stage::Putting { left, .. } => write!(f, "makes sure of {} parts", left.len()),
            Stage::Writing { to, has_asked: true, .. } => write!(f, "writes {to:?}"),
            Stage::Writing { .. } | Stage::Sweeping { has_asked: false, .. } => f.write_str("asks who leads"),
            Stage::Sweeping { left, .. } => write!(f, "removes a part of {}", left.len()),
        }
    }
}
