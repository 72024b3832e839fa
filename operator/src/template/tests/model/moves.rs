//! What can happen next.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use messaging::failure::{Failure, FailureClass};
use messaging::provider::ProviderError;
use messaging::provider::admin::{TemplateHandle, TemplateObservation};
use messaging::template::Approval;

use super::operator::{Acting, LIST_LAG, Look, Operator, Stage, decide, may_wait, serving, text};
use super::state::{Bug, Kept, REPLICAS, TICK, World};
use crate::template::plan::{CALL_ENDS_WITHIN, INTENT_HOLDS, Step};
use crate::template::record;
use crate::testing::content_of;

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Ok,
    /// The provider did it, and answered with 503.
    Lost,
}

impl World {
    pub(super) fn successors(&self) -> Vec<Self> {
        let mut next = Vec::new();
        for n in 0..2 {
            self.of_operator(n, &mut next);
        }
        let leader = &self.operators[self.leader];
        if leader.contributes.as_ref().is_some_and(|contributed| *contributed != self.published) {
            next.push(self.after("it is published", Self::publish));
        }
        for n in 0..REPLICAS {
            if self.replicas[n] != self.published {
                next.push(self.after("a replica takes it over", |world| {
                    world.replicas[n].clone_from(&world.published);
                }));
            }
        }
        if self.provider.iter().any(|kept| kept.template.approval == Approval::Pending) {
            next.push(self.after("WhatsApp approves", Self::approve));
        }
        if self.left.changes > 0 {
            next.push(self.after("the text changes", |world| {
                world.left.changes -= 1;
                world.text = 1 - world.text;
            }));
        }
        if self.left.handovers > 0 {
            next.push(self.after("another process leads", |world| {
                world.left.handovers -= 1;
                world.leader = 1 - world.leader;
            }));
        }
        let calls_end = self.operators.iter().all(|operator| match &operator.stage {
            Stage::Calling { since, .. } => may_wait(*since, self.now, CALL_ENDS_WITHIN),
            _ => true,
        });
        if self.left.ticks > 0 && calls_end {
            next.push(self.after("time passes", |world| {
                world.left.ticks -= 1;
                world.now += TICK;
            }));
        }
        next
    }

    fn of_operator(&self, n: usize, next: &mut Vec<Self>) {
        let leads = n == self.leader;
        match &self.operators[n].stage {
            Stage::Idle if leads => {
                next.push(self.after("looks, and the list is whole", |world| world.look(n, true)));
                if self.has_young() {
                    next.push(self.after("looks, and the list lags", |world| world.look(n, false)));
                }
                return;
            }
            Stage::Idle => return,
            Stage::Acting(_) => next.push(self.after("goes on", |world| world.go_on(n))),
            Stage::Calling { .. } => {
                next.push(self.after("the call is answered", |world| world.answer(n, Answer::Ok)));
                if self.left.lost_answers > 0 {
                    next.push(self.after("the answer is lost", |world| {
                        world.left.lost_answers -= 1;
                        world.answer(n, Answer::Lost);
                    }));
                }
                if self.left.crashes > 0 {
                    next.push(self.after("crashes, and the call is done", |world| {
                        world.answer(n, Answer::Ok);
                        world.left.crashes -= 1;
                        world.operators[n] = Operator::default();
                    }));
                }
            }
            Stage::Reporting { .. } => next.push(self.after("reports", |world| world.report(n))),
        }
        if self.left.crashes > 0 {
            next.push(self.after("crashes", |world| {
                world.left.crashes -= 1;
                world.operators[n] = Operator::default();
            }));
        }
    }

    fn after(&self, what: &str, change: impl FnOnce(&mut Self)) -> Self {
        let mut world = self.clone();
        change(&mut world);
        let stages = world.operators.each_ref().map(|operator| match &operator.stage {
            Stage::Idle => "-".to_owned(),
            Stage::Acting(acting) => format!("{:?}", acting.steps),
            Stage::Calling { step, .. } => format!("calls {step:?}"),
            Stage::Reporting { .. } => "reports".to_owned(),
        });
        world.trace.push(format!("{what}: {stages:?}"));
        world
    }

    fn has_young(&self) -> bool {
        self.provider.iter().any(|kept| self.is_young(kept))
    }

    fn is_young(&self, kept: &Kept) -> bool {
        self.now < kept.since + LIST_LAG
    }

    fn approve(&mut self) {
        let pending = self.provider.iter_mut().filter(|kept| kept.template.approval == Approval::Pending);
        pending.for_each(|kept| kept.template.approval = Approval::Approved);
    }

    fn publish(&mut self) {
        if let Some(contributed) = &self.operators[self.leader].contributes {
            self.published.clone_from(contributed);
        }
    }

    fn look(&mut self, n: usize, shows_young: bool) {
        let listed = self.provider.iter().filter(|kept| shows_young || !self.is_young(kept));
        let recorded = serving(&self.record);
        let follows = self.published == recorded && self.replicas.iter().all(|used| *used == recorded);
        let acting = decide(Look {
            text: self.text,
            record: &self.record,
            listed: listed.map(|kept| kept.template.clone()).collect(),
            listed_at: if self.bug == Bug::NoLook { self.now + LIST_LAG * 10 } else { self.now },
            data_plane_follows: follows || self.bug == Bug::BlindRetirement,
            now: self.now,
        });
        // The recorded revisions can be sent, whatever the rest of this reconcile does.
        self.operators[n].contributes = Some(recorded);
        self.operators[n].stage = Stage::Acting(acting);
        self.skip_to_report(n);
    }

    /// Without a step left, only the status is to be written.
    fn skip_to_report(&mut self, n: usize) {
        if let Stage::Acting(acting) = &self.operators[n].stage
            && acting.steps.is_empty()
        {
            let (known, locations) = (acting.known.clone(), acting.locations.clone());
            self.operators[n].contributes = Some(serving(&locations));
            self.operators[n].stage = Stage::Reporting { known, locations };
        }
    }

    /// Takes what is next: records an intent, or begins a call.
    fn go_on(&mut self, n: usize) {
        let Stage::Acting(mut acting) = self.operators[n].stage.clone() else { return };
        let Some(step) = acting.steps.pop_front() else { return };
        let holds = |at: Timestamp| self.now <= at + INTENT_HOLDS || self.bug == Bug::StaleIntent;
        let is_intended = acting.intended_at.is_some_and(holds) || self.bug == Bug::NoIntent;
        if matches!(step, Step::Create { .. }) && !is_intended {
            acting.steps.push_front(step);
            let is_as_seen = acting.known == self.record && acting.text == self.text;
            if !is_as_seen && self.bug != Bug::NoVersion {
                // The template changed meanwhile.
                self.operators[n].stage = Stage::Idle;
                return;
            }
            for newest in acting.locations.iter_mut().filter_map(|location| location.newest.as_mut()) {
                newest.last_action_at = Some(Time(self.now));
            }
            self.record.clone_from(&acting.locations);
            (acting.known, acting.intended_at) = (acting.locations.clone(), Some(self.now));
            self.operators[n].stage = Stage::Acting(acting);
            return;
        }
        if n != self.leader {
            // No call begins after the deadline.
            for step in [step].iter().chain(&acting.steps) {
                record::not_taken(&mut acting.locations, step);
            }
            acting.steps.clear();
            self.operators[n].stage = Stage::Acting(acting);
            self.skip_to_report(n);
            return;
        }
        self.operators[n].stage = Stage::Calling { acting, step, since: self.now };
    }

    /// A call takes effect and is answered.
    fn answer(&mut self, n: usize, answer: Answer) {
        let Stage::Calling { mut acting, step, .. } = self.operators[n].stage.clone() else { return };
        let unavailable = ProviderError {
            failure: Failure::new(FailureClass::Retry, "no answer"),
            http_status: Some(503),
            retry_after: None,
        };
        match step {
            Step::Create { account, language } => {
                let handle = self.create(acting.text, &language);
                if answer == Answer::Ok {
                    record::created(&mut acting.locations, &account, &language, &handle);
                    acting.steps.push_front(Step::Submit { account, language, handle });
                } else {
                    record::not_created(&mut acting.locations, &account, &language, &unavailable);
                }
            }
            Step::Submit { account, language, handle } => {
                let submitted = self.provider.iter_mut().find(|kept| kept.template.handle == handle);
                if let Some(kept) = submitted.filter(|kept| kept.template.approval == Approval::Unsubmitted) {
                    kept.template.approval = Approval::Pending;
                }
                if answer == Answer::Ok {
                    record::submitted(&mut acting.locations, &account, &language, self.now);
                }
            }
            Step::Delete { handle, .. } => self.provider.retain(|kept| kept.template.handle != handle),
        }
        if answer == Answer::Lost {
            // An error holds up the other steps of its account.
            for step in std::mem::take(&mut acting.steps) {
                record::not_taken(&mut acting.locations, &step);
            }
        }
        self.operators[n].stage = Stage::Acting(acting);
        self.skip_to_report(n);
    }

    fn create(&mut self, wanted: usize, language: &str) -> TemplateHandle {
        let (_, revision) = &text(wanted).languages[language];
        self.made += 1;
        let handle = TemplateHandle::new(format!("HX{}", self.made));
        let template = TemplateObservation {
            handle: handle.clone(),
            name: revision.name.clone(),
            language: language.to_owned(),
            approval: Approval::Unsubmitted,
            category: None,
            content: Ok(content_of(revision)),
        };
        self.provider.push(Kept { since: self.now, template });
        handle
    }

    fn report(&mut self, n: usize) {
        // Over what this process has seen or recorded last, and over nothing else.
        if let Stage::Reporting { known, locations } = std::mem::take(&mut self.operators[n].stage)
            && (known == self.record || self.bug == Bug::BlindReport)
        {
            self.record = locations;
        }
    }

    pub(super) fn wanted_name(&self) -> String {
        let (_, revision) = text(self.text).languages.values().next().unwrap();
        revision.name.clone()
    }

    /// One reconcile of the leader without trouble, and everything that follows from it.
    pub(super) fn leads_alone(&mut self) {
        let n = self.leader;
        self.look(n, true);
        while !self.operators[n].is_idle() {
            match &self.operators[n].stage {
                Stage::Acting(Acting { .. }) => self.go_on(n),
                Stage::Calling { .. } => self.answer(n, Answer::Ok),
                Stage::Reporting { .. } => self.report(n),
                Stage::Idle => {}
            }
        }
        self.approve();
        self.publish();
        for n in 0..REPLICAS {
            self.replicas[n].clone_from(&self.published);
        }
        self.now += TICK;
    }
}
