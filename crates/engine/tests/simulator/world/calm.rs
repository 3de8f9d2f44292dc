//! The end of a run: no more faults, and everything comes to its end.

use attempt::Stamp;
use engine::StopScope;
use engine::row::{Request, RequestState};

use super::World;
use crate::machine::Machine;

/// Rounds within which everything is over once the faults stopped.
const CALM_ROUNDS: u32 = 600;

impl World {
    /// No more faults: everything has to come to its end.
    pub(crate) fn calm_down(&mut self) {
        self.has_faults = false;
        while !self.unsent.is_empty() {
            self.tell_unsent();
        }
        self.machines.values_mut().for_each(Machine::heal);
        self.reconfigure_back();
        let poll = self.clients.poll(&mut self.rng, &self.engine);
        self.take(vec![poll]);
        // The first answer may be the wish for an environment, with which a launch comes again.
        for _ in 0..2 {
            let repeated = self.clients.repeat_all(&self.database);
            self.take(repeated);
        }
        for round in 0.. {
            if self.is_at_rest() {
                break;
            }
            assert!(round < CALM_ROUNDS, "not at rest: {}", self.rest());
            self.calm_round(round);
        }
        self.check_whole();
        self.check_history();
        self.clients.check_settled(&self.database);
    }

    pub(super) fn calm_round(&mut self, round: u32) {
        self.now.wall_us += 1_000_000;
        self.now.boot_us += 1_000_000;
        self.pass_time();
        if round == 20 {
            for request in self.clients.following.keys().copied().collect::<Vec<_>>() {
                if self.engine.durable().request(request).is_some() {
                    self.leave(request);
                }
            }
        }
        // What lives for a caller has ended by now of itself; only what was left to itself is
        // stopped by hand. Once has to be enough.
        if round > 100 {
            let kept: Vec<_> = self
                .engine
                .durable()
                .requests()
                .filter(|request| request.on_disconnect == engine::row::OnDisconnect::Keep)
                .filter(|request| !self.is_being_stopped(request))
                .map(|request| request.id)
                .collect();
            for request in kept {
                let stop = self.clients.stop(request, StopScope::Anywhere);
                self.take(vec![stop]);
            }
        }
        for machine in self.machines.values_mut().filter(|machine| machine.link.is_none()) {
            self.sessions += 1;
            let stamp = Stamp { epoch: self.epoch, session: self.sessions };
            machine.connect(stamp, &mut self.rng);
        }
        for name in self.machines.keys().cloned().collect::<Vec<_>>() {
            for _ in 0..200 {
                let machine = self.machines.get_mut(&name).expect("machines do not go");
                machine.hear(&mut self.rng, 0);
                let Some(event) = machine.speak(&mut self.rng, 0) else { break };
                self.hear(vec![event]);
            }
            let machine = self.machines.get_mut(&name).expect("machines do not go");
            for command in machine.host.spool.keys().copied().collect::<Vec<_>>() {
                machine.run(command, &mut self.rng);
                machine.watch(command);
            }
        }
        self.stream_and_seal();
        self.check_step();
    }

    pub(super) fn is_being_stopped(&self, request: &Request) -> bool {
        let RequestState::Running { build } = request.state else { return false };
        self.engine.durable().build(build).is_some_and(|build| build.stop_reason.is_some())
    }

    pub(super) fn is_at_rest(&self) -> bool {
        let durable = self.engine.durable();
        durable.requests().next().is_none()
            && durable.commands().next().is_none()
            && self.database.armed().next().is_none()
            && self.machines.values().all(Machine::is_quiet)
    }

    pub(super) fn rest(&self) -> String {
        let durable = self.engine.durable();
        let requests =
            durable.requests().take(3).map(|row| format!("{} {:?}", row.name, row.state));
        let commands = durable.commands().take(3).map(|row| {
            format!("{} of build {} on {}: {:?}", row.id(), row.build, row.worker, row.half.state)
        });
        let timers = self.database.armed().map(|row| format!("{} {}", row.scheduler, row.lane));
        let machines = self.machines.values().map(|machine| {
            let link = self.links.get(&machine.name);
            format!("{} {:?} {link:?} {:?}", machine.name, machine.link, machine.host.spool)
        });
        let all = requests.chain(commands).chain(timers).chain(machines);
        all.fold(String::new(), |text, line| text + "\n" + &line)
    }
}
