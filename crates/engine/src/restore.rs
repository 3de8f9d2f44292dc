//! Rebuilds an engine from its rows, and derives again what a crash may have cut off.

use std::sync::Arc;

use attempt::CommandId;
use attempt::master::State;

use crate::decision::Action;
use crate::durable::{Durable, Identity};
use crate::engine::Engine;
use crate::row::{OnDisconnect, Rows};
use crate::settings::Settings;
use crate::time::Now;
use crate::volatile::{Deadline, Volatile};

impl Engine {
    /// Rebuilds the engine. The actions returned were due before the restart and may not have
    /// been performed; workers and followers are told of by events as they come back.
    pub fn restore(
        settings: Arc<Settings>,
        identity: Identity,
        rows: Rows,
        now: Now,
    ) -> (Self, Vec<Action>) {
        let durable = Durable::restore(rows);
        let mut engine = Self {
            settings,
            identity,
            durable,
            volatile: Volatile::starting(now),
            actions: Vec::new(),
        };
        engine.rearm(now);
        engine.seal_ended();
        let actions = std::mem::take(&mut engine.actions);
        (engine, actions)
    }

    fn rearm(&mut self, now: Now) {
        if !self.is_settled() {
            self.volatile.arm(Deadline::Settle, now.boot_us);
        }
        for pending in self.durable.pending.iter() {
            self.volatile.arm_stable(now, pending);
        }
        let noted = self.durable.requests().filter(|request| request.waits.now.is_some());
        self.volatile.first_in_line = noted.map(|request| request.id).collect();
        self.watch_waits(now);
        let attended: Vec<_> = self
            .durable
            .requests()
            .filter(|request| request.on_disconnect == OnDisconnect::Cancel)
            .map(|request| request.id)
            .collect();
        for request in attended {
            self.presume_followed(now, request);
        }
    }

    fn seal_ended(&mut self) {
        let commands: Vec<_> = self.durable.commands().map(|command| command.id()).collect();
        for command in commands {
            self.seal(command);
            self.write_off(command);
        }
    }

    /// A worker that the configuration no longer has cannot come back: what was given up there
    /// is sealed as it is.
    fn write_off(&mut self, id: CommandId) {
        let Some(command) = self.durable.commands.get(&id) else { return };
        let is_open = matches!(command.half.state, State::GivenUp | State::LogGivenUp { .. });
        if is_open && !self.settings.knows_worker(&command.worker) {
            self.actions.push(Action::SealLog { command: id, log_bytes: 0 });
        }
    }
}
