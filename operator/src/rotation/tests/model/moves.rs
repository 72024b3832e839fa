//! What may happen next.

use jiff::SignedDuration;

use super::state::{Bug, Setting, Stage, World};
use crate::rotation::plan::Step;

impl World {
    /// Every state that may be next.
    pub(super) fn successors(&self, setting: Setting) -> Vec<Self> {
        let mut all = Vec::new();
        let mut with = |what: String, change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            world.trace.push(what);
            change(&mut world);
            all.push(world);
        };
        for n in 0..2 {
            let operator = &self.operators[n];
            let leads = self.leader == n;
            match operator.stage {
                Stage::Idle if leads => with(format!("{n} begins"), &|world| world.begin(n, setting)),
                Stage::Idle => {}
                Stage::Doing { is_past_the_gate: false, .. } if self.needs_tenure(n, setting.bug) => {
                    if leads {
                        with(format!("{n} calls"), &|world| {
                            if let Stage::Doing { is_past_the_gate, .. } = &mut world.operators[n].stage {
                                *is_past_the_gate = true;
                            }
                            world.operators[n].saw_secret = world.secret_version;
                        });
                    }
                }
                Stage::Doing { .. } => {
                    let what = format!("{n} writes {:?}", operator.stage);
                    with(what.clone(), &|world| world.write(n, setting, false));
                    let calls = matches!(
                        operator.stage,
                        Stage::Doing { step: Step::Mint | Step::CreateToken | Step::Promote, .. }
                    );
                    if self.left.lost_answers > 0 && calls && self.needs_tenure(n, setting.bug) {
                        with(format!("{what}, and its answer is lost"), &|world| {
                            world.left.lost_answers -= 1;
                            world.write(n, setting, true);
                        });
                    }
                }
            }
            if operator.stage != Stage::Idle && self.left.crashes > 0 {
                with(format!("{n} crashes"), &|world| {
                    world.left.crashes -= 1;
                    let knows = world.published.clone();
                    let operator = &mut world.operators[n];
                    (operator.stage, operator.contributes, operator.publishing) = (Stage::Idle, None, None);
                    operator.knows = knows;
                });
            }
            match operator.publishing {
                None if operator.contributes.as_ref().is_some_and(|config| *config != self.published.1) => {
                    let change = |world: &mut Self| world.operators[n].publishing = Some((false, true));
                    with(format!("{n} reads what is published"), &change);
                }
                None if leads && operator.knows != self.published => {
                    with(format!("{n} learns what is published"), &|world| {
                        world.operators[n].knows = world.published.clone();
                    });
                }
                Some((false, is_newest)) if leads || setting.bug == Bug::BlindPublish => {
                    let change = |world: &mut Self| world.operators[n].publishing = Some((true, is_newest));
                    with(format!("{n} knows that it leads"), &change);
                }
                Some((true, is_newest)) => with(format!("{n} publishes {:?}", operator.contributes), &|world| {
                    world.operators[n].publishing = None;
                    if is_newest || setting.bug == Bug::BlindPublish {
                        let config =
                            world.operators[n].contributes.clone().unwrap_or_else(|| world.published.1.clone());
                        world.published = (world.published.0 + 1, config);
                        world.operators[n].knows = world.published.clone();
                        if let Some((_, is_newest)) = &mut world.operators[1 - n].publishing {
                            *is_newest = false;
                        }
                    }
                }),
                _ => {}
            }
        }
        for replica in 0..self.replicas.len() {
            // Replicas are alike, so the first one that is behind goes first.
            let is_behind = |replica: usize| self.replicas[replica].0 < self.published.0;
            if is_behind(replica) && !(0..replica).any(is_behind) {
                with(format!("replica {replica} follows"), &|world| world.replicas[replica] = world.published.clone());
            }
        }
        if self.left.handovers > 0 {
            with("another leads".to_owned(), &|world| {
                world.left.handovers -= 1;
                world.leader = 1 - world.leader;
                let (leader, knows) = (world.leader, world.published.clone());
                // It lists everything anew.
                world.operators[leader].knows = knows;
                world.operators[leader].contributes = None;
            });
        }
        // A turn of a process that leads ends soon, and so does a call, whoever began it.
        let is_calling = (0..2).any(|n| {
            let is_past = matches!(self.operators[n].stage, Stage::Doing { is_past_the_gate: true, .. });
            is_past || (self.leader == n && self.operators[n].stage != Stage::Idle)
        });
        if self.left.ticks > 0 && !is_calling {
            with("time passes".to_owned(), &|world| {
                world.left.ticks -= 1;
                world.now += SignedDuration::from_mins(31);
            });
        }
        all
    }

    /// Goes on without any trouble.
    pub(super) fn comes_to_rest(&self, setting: Setting) -> bool {
        let mut world = self.clone();
        let leader = world.leader;
        for _ in 0..60 {
            if world.operators[leader].stage == Stage::Idle {
                world.begin(leader, setting);
            }
            while world.operators[leader].stage != Stage::Idle {
                world.operators[leader].saw_secret = world.secret_version;
                world.write(leader, setting, false);
            }
            if let Some(config) =
                world.operators[leader].contributes.clone().filter(|config| *config != world.published.1)
            {
                world.published = (world.published.0 + 1, config);
            }
            world.operators[leader].knows = world.published.clone();
            let published = world.published.clone();
            world.replicas.fill(published);
            world.now += SignedDuration::from_mins(31);
            if world.refused().is_some() {
                return false;
            }
            if world.is_settled() {
                return true;
            }
        }
        false
    }
}
