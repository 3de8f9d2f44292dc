//! A command whose worker is no longer waited for, and a log whose rest is gone: the master's half
//! alone, state by state.

use attempt::master::{Command, Input, Output, State};
use attempt::worker::{self, Found, Worker};
use attempt::{CommandId, LostReason, Outcome, Place, Stamp, StopOrder, ToMaster, ToWorker, View};

const ID: CommandId = CommandId { incarnation: 7, counter: 1 };
const LINK: Stamp = Stamp { epoch: 1, session: 2 };
const TERM: StopOrder = StopOrder { signal: 15, grace_ms: 1_000 };
const KILL: Output =
    Output::Send(ToWorker::Stop { stamp: LINK, command: ID, order: StopOrder::KILL });
const ACK: Output = Output::Send(ToWorker::FinalAck { stamp: LINK, command: ID });

fn place(spool: &str) -> Place {
    Place { boot_id: "boot".to_owned(), spool_id: spool.to_owned() }
}

fn command(state: State) -> Command {
    Command { state, ..Command::assigned(ID, place("spool")) }
}

fn given_up() -> Outcome {
    Outcome::Lost(LostReason::GivenUp)
}

fn ended(outcome: Outcome, log_bytes: u64) -> State {
    State::Ended { outcome, log_bytes }
}

fn said(log_bytes: u64) -> View {
    View::Ended { outcome: Outcome::Signal(9), log_bytes, properties: None }
}

/// Drives a command from a state and returns the next with what follows.
fn step(state: State, input: Input<'_>, link: Option<Stamp>) -> (State, Vec<Output>) {
    let mut command = command(state);
    let outputs = command.handle(input, link);
    (command.state, outputs)
}

#[test]
fn what_may_run_is_lost_at_once_and_killed_where_its_worker_is_there() {
    for state in [
        State::Assigned { stop: None },
        State::Assigned { stop: Some(TERM) },
        State::Running { stop: None },
        State::Running { stop: Some(TERM) },
    ] {
        let lost = State::GivenUp;
        let (after, outputs) = step(state.clone(), Input::GiveUp, None);
        assert_eq!(
            (&after, outputs),
            (&lost, vec![Output::Ended { outcome: given_up(), properties: None }])
        );
        assert!(command(after).is_unaccounted());
        let (after, outputs) = step(state, Input::GiveUp, Some(LINK));
        assert_eq!(
            (after, outputs),
            (lost, vec![Output::Ended { outcome: given_up(), properties: None }, KILL])
        );
    }
}

#[test]
fn an_outcome_that_is_known_stays() {
    let (state, outputs) = step(ended(Outcome::Exited(0), 10), Input::GiveUp, None);
    assert_eq!(state, State::LogGivenUp { outcome: Outcome::Exited(0) });
    assert_eq!(outputs, []);
    assert!(!command(state).is_unaccounted(), "its tree is gone");
    for state in [State::GivenUp, State::Sealed { outcome: Outcome::Exited(0) }] {
        assert_eq!(step(state.clone(), Input::GiveUp, Some(LINK)), (state, Vec::new()));
    }
}

#[test]
fn a_worker_that_returns_answers_for_what_was_given_up() {
    let lost = State::GivenUp;
    let view = View::Running;
    let back = Input::Attached { place: &place("spool"), view: Some(&view) };
    assert_eq!(step(lost.clone(), back, Some(LINK)), (lost.clone(), vec![KILL]));
    let view = said(90);
    for input in
        [Input::Reported(&view), Input::Attached { place: &place("spool"), view: Some(&view) }]
    {
        let after = step(lost.clone(), input, Some(LINK));
        assert_eq!(after, (ended(given_up(), 90), vec![Output::Accounted]), "its log is taken");
    }
    // Whether it never arrived or went with its spool, nothing of it is there.
    for spool in ["spool", "another"] {
        let back = Input::Attached { place: &place(spool), view: None };
        let after = step(lost.clone(), back, Some(LINK));
        assert_eq!(after, (ended(given_up(), 0), vec![Output::Accounted]));
    }
}

#[test]
fn what_was_accounted_for_is_so_for_ever() {
    let (state, _) = step(ended(given_up(), 90), Input::GiveUp, None);
    assert_eq!(state, State::LogGivenUp { outcome: given_up() });
    assert!(!command(state.clone()).is_unaccounted());
    let after = step(state, Input::Reported(&said(90)), Some(LINK));
    assert_eq!(after, (ended(given_up(), 90), vec![Output::Accounted]));
}

#[test]
fn nothing_else_changes_what_was_given_up() {
    let lost = State::GivenUp;
    let stopped = step(lost.clone(), Input::Stop(TERM), Some(LINK));
    assert_eq!(stopped, (lost.clone(), Vec::new()), "it is killed, not asked");
    let sealed = step(lost, Input::LogSealed, Some(LINK));
    let expected = State::Sealed { outcome: given_up() };
    assert_eq!(sealed, (expected, vec![Output::Accounted, ACK]), "its worker was written off");
}

#[test]
fn a_worker_tells_again_what_is_left_of_a_log() {
    let found = Found::Ended { outcome: Outcome::Exited(0), log_bytes: 100, properties: None };
    let (mut worker, _) = Worker::recover(1, [(ID, found)]);
    let torn = |log_bytes| worker::Input::LogTorn { command: ID, log_bytes };
    worker.handle(worker::Input::Welcomed(LINK));
    let view = View::Ended { outcome: Outcome::Exited(0), log_bytes: 40, properties: None };
    let report = ToMaster { command: ID, view };
    assert_eq!(worker.handle(torn(40)), [worker::Output::Send(report.clone())]);
    assert_eq!(worker.handle(torn(40)), [], "it is said once");
    assert_eq!(worker.report(), [report]);
}

#[test]
fn a_start_that_comes_twice_runs_nothing_however_much_was_forgotten_since() {
    let (mut worker, _) = Worker::recover(1, []);
    worker.handle(worker::Input::Welcomed(LINK));
    let id = |counter| CommandId { incarnation: 7, counter };
    let start =
        |counter| worker::Input::Message(ToWorker::Start { stamp: LINK, command: id(counter) });
    for counter in 1..=5_000 {
        let command = id(counter);
        assert_eq!(worker.handle(start(counter)), [worker::Output::Run(command)]);
        worker.handle(worker::Input::Ended {
            command,
            outcome: Outcome::Exited(0),
            log_bytes: 0,
            properties: None,
        });
        let ack = ToWorker::FinalAck { stamp: LINK, command };
        assert_eq!(worker.handle(worker::Input::Message(ack)), [worker::Output::Delete(command)]);
    }
    for counter in 1..=5_000 {
        assert_eq!(worker.handle(start(counter)), [], "{counter}");
        let stop = ToWorker::Stop { stamp: LINK, command: id(counter), order: TERM };
        assert_eq!(worker.handle(worker::Input::Message(stop)), [], "{counter}");
    }
}

#[test]
fn a_log_that_turns_out_shorter_ends_where_it_is() {
    let whole = ended(Outcome::Exited(0), 100);
    let after = step(whole.clone(), Input::Reported(&said(40)), Some(LINK));
    assert_eq!(after, (ended(Outcome::Exited(0), 40), vec![Output::LogCut]));
    for log_bytes in [100, 200] {
        let again = step(whole.clone(), Input::Reported(&said(log_bytes)), Some(LINK));
        assert_eq!(again, (whole.clone(), Vec::new()), "{log_bytes}");
    }
}
