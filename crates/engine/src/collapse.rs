//! Merges requests that ask for the same, where their builder wants that.
//!
//! A new request that asks for the same as one that waits is merged into that one: it keeps its
//! name, and ends with the other's result. Calls of apps are never merged: what a program says
//! belongs to who called it.
//!
//! Invariant: a request is merged only into one of the same builder and owner that waits or runs.

use crate::decision::Action;
use crate::engine::Engine;
use crate::id::RequestId;
use crate::row::{Change, Request, RequestState};

impl Engine {
    /// Merges a request that was just made into an older one, if there is one like it.
    pub(crate) fn collapse(&mut self, id: RequestId) {
        let Some(new) = self.durable.request(id) else { return };
        if !new.collapses {
            return;
        }
        let older = self.durable.index().collapsing(&new.builder, &new.owner);
        let twin = older
            .filter(|older| *older != id)
            .filter_map(|older| self.durable.request(older))
            .find(|older| self.asks_for_the_same(older, new));
        let Some(twin) = twin else { return };
        let (into, priority) = (twin.id, twin.priority.max(new.priority));
        self.durable.set_request_state(id, RequestState::Merged { into });
        self.durable.set_request_priority(into, priority);
        self.actions.push(Action::RequestChanged { request: into });
    }

    fn asks_for_the_same(&self, one: &Request, other: &Request) -> bool {
        let change = |request: &Request| self.durable.change(request.change);
        let (Some(left), Some(right)) = (change(one), change(other)) else { return false };
        one.properties == other.properties && is_same_source(left, right)
    }

    /// Has a request that is about to run stand for the changes of all that were merged into it.
    /// The newest change is the one that is built.
    pub(crate) fn absorb(&mut self, id: RequestId) {
        let merged: Vec<RequestId> = self.durable.index().merged_into(id).collect();
        for one in merged {
            let changes = self.durable.request(one).map(|request| request.changes.clone());
            self.durable.add_changes(id, &changes.unwrap_or_default());
            self.actions.push(Action::RequestChanged { request: one });
        }
    }

    /// Lets the oldest of those that were merged into a request wait in its place, with the others
    /// merged into it.
    pub(crate) fn succeed(&mut self, id: RequestId) {
        let mut merged = self.durable.index().merged_into(id).collect::<Vec<_>>().into_iter();
        let Some(heir) = merged.next() else { return };
        self.durable.set_request_state(heir, RequestState::Waiting);
        self.actions.push(Action::RequestChanged { request: heir });
        for one in merged {
            self.durable.set_request_state(one, RequestState::Merged { into: heir });
            self.actions.push(Action::RequestChanged { request: one });
        }
    }
}

fn is_same_source(one: &Change, other: &Change) -> bool {
    let is_call = one.launch.is_some() || other.launch.is_some();
    !is_call
        && one.source == other.source
        && one.repository == other.repository
        && one.project == other.project
        && one.codebase == other.codebase
        && one.branch == other.branch
        && one.category == other.category
        && one.properties == other.properties
}
