//! Lets requests that were just made into their line: their builder's condition is judged, and those
//! that ask for the same are merged.
//!
//! A condition says whether there is anything to do at all, so it is judged before there is a worker,
//! once. What is skipped takes no place, merges with nothing and supersedes nothing.

use crate::close::Verdict;
use crate::decision::Action;
use crate::engine::Engine;
use crate::id::RequestId;
use crate::plan;
use crate::property::{Origins, Phase};
use crate::result::{BuildResult, exit_code};
use crate::row::{Request, RequestState};
use crate::subject::Subject;
use crate::time::Now;

impl Engine {
    /// Lets all requests of a buildset in, after all of them were made: one may end the others.
    pub(crate) fn admit(&mut self, now: Now, ids: &[RequestId]) {
        for id in ids {
            if let Some(verdict) = self.waiting(*id).and_then(|request| self.foregone(request)) {
                self.close(now, *id, verdict);
            }
        }
        for id in ids.iter().filter(|id| self.waiting(**id).is_some()).collect::<Vec<_>>() {
            self.collapse(*id);
            self.actions.push(Action::RequestChanged { request: *id });
        }
    }

    fn waiting(&self, id: RequestId) -> Option<&Request> {
        let request = self.durable.request(id)?;
        (request.state == RequestState::Waiting).then_some(request)
    }

    /// Returns how a request ends for which there is nothing to do.
    fn foregone(&self, request: &Request) -> Option<Verdict> {
        let builder = self.settings.builders.get(&request.builder)?;
        let condition = builder.when.as_ref()?;
        let configured = plan::configured(builder, None, &self.settings);
        let change = self.durable.change(request.change)?;
        let phase = Phase::Early(&configured);
        let (name, text) = (&request.builder, condition.text());
        match Subject(Origins { change, request, phase }).holds(condition) {
            Ok(true) => None,
            Ok(false) => Some(Verdict {
                result: BuildResult::Skipped,
                reason: format!("the condition of builder {name} does not hold: {text}"),
                // To who called an app it is no success that it did not run.
                exit_code: if change.launch.is_some() { exit_code::NEVER_RAN } else { 0 },
            }),
            Err(why) => Some(Verdict {
                result: BuildResult::Exception,
                reason: format!("the condition of builder {name}, `{text}`: {why}"),
                exit_code: exit_code::CONFIG,
            }),
        }
    }
}
