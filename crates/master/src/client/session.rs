//! One client's connection: handshake, then requests in their order, with output in between.
//!
//! A client may send many submissions without waiting for answers: they are handed to the engine
//! as they come, share commits, and are answered in their order. Every other request is answered
//! before the next one is read.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, bail};
use engine::Departure;
use engine::row::User;
use failpoint::Act;
use futures_util::StreamExt as _;
use proto::codec::{self, CodecError, FrameCodec};
use proto::message::configuration::{ConfigPart, PlanWanted, ReloadWanted, RevisionWanted};
use proto::message::hello::{Hello, Ping, Pong, Refusal, Role, Welcome};
use proto::message::launch::{Cancel, Follow, GiveUp, Launch, Leave, SendChange, SetPriority};
use proto::message::question::{
    BuildsWanted, LocksWanted, LogWanted, QueueWanted, RequestWanted, RequestsWanted, StatusWanted,
    WhyWanted,
};
use proto::{DecodeError, Frame, Message, encode, limits};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use super::authority::Authority;
use super::callers::Seat;
use super::follower::{Follower, Step};
use super::identity::{Principal, Who};
use super::listener::{Door, ListenerParts};
use super::submit::{Reply, Verdict};
use super::{configuration, log_range, question, request, submit};
use crate::gate::{Admission, HasDescriptor, Prompt};
use crate::store::StoreError;

/// What the listener could find out about a client.
#[derive(Debug)]
pub(super) enum Caller {
    Known(Principal),
    MustShowToken,
    Refused(String),
}

/// What a connection goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Within this machine: only a client that closes its socket, or dies, ends it.
    Unix,
    /// A network, which may lose it while both sides are well.
    Tcp,
}

impl Way {
    /// Returns what the end of a connection means where the client did not say that it leaves.
    fn departure(self) -> Departure {
        match self {
            Self::Unix => Departure::Closed,
            Self::Tcp => Departure::Lost,
        }
    }
}

/// For a refusal to a client that is hung up on.
const LAST_WORD: Duration = Duration::from_millis(500);
/// Submissions of one connection whose commit is awaited; then no more is read from it.
const MOST_SUBMISSIONS: usize = 256;

type Frames<S> = FramedRead<ReadHalf<S>, FrameCodec>;

/// Runs the connection to its end.
pub(super) async fn run<S: AsyncRead + AsyncWrite + HasDescriptor + Unpin>(
    socket: S,
    way: Way,
    caller: Caller,
    door: Door,
    parts: &ListenerParts,
    admission: Admission,
) -> anyhow::Result<()> {
    let (read, write) = tokio::io::split(Prompt::new(socket));
    let mut frames = codec::of_stranger(read);
    let mut out = Out { write };
    let handshake = handshake(&mut frames, &mut out, caller, &door, parts);
    // The connection is counted to its end.
    let (guest, _taken) = admission.shake_hands(handshake).await?;
    let Guest { principal, features, seat: _seat } = guest;
    codec::authenticate(&mut frames);
    let authority = match &door {
        Door::Control => Authority::All,
        Door::Change { .. } => Authority::Own { principal: principal.name.clone() },
    };
    let submissions = VecDeque::new();
    let (user, follower) = (OnceCell::new(), None);
    let mut session = Session {
        parts,
        door,
        principal,
        features,
        user,
        authority,
        follower,
        submissions,
        parts_of_config: configuration::Parts::default(),
    };
    let outcome = session.serve(&mut frames, &mut out).await;
    if let (Door::Control, Err(error)) = (&session.door, &outcome)
        && error.is::<StoreError>()
    {
        // A client of the change port tries again by itself; an administrator is told why.
        let hint = "commands go on meanwhile; try again when it answers";
        out.send(&refusal("database", &format!("{error:#}"), hint)).await?;
    }
    if let Err(error) = &outcome {
        explain(error, &mut out).await;
    }
    if let Some(follower) = session.follower.take() {
        follower.leave(parts, way.departure()).await;
    }
    outcome
}

/// Whoever passed the handshake.
struct Guest {
    principal: Principal,
    features: u64,
    seat: Option<Seat>,
}

async fn handshake<S: AsyncRead + AsyncWrite>(
    frames: &mut Frames<S>,
    out: &mut Out<S>,
    caller: Caller,
    door: &Door,
    parts: &ListenerParts,
) -> anyhow::Result<Guest> {
    let Some(frame) = frames.next().await else { bail!("the client closed the connection") };
    let hello: Hello = frame?.open()?;
    let judged = judge(&hello, caller, door);
    let seated = judged.and_then(|(version, principal)| {
        let seat = take_seat(&principal, door, parts)?;
        Ok((version, principal, seat))
    });
    match seated {
        Ok((version, principal, seat)) => {
            let welcome = Welcome {
                version,
                features: 0,
                master: parts.master.clone(),
                epoch: parts.epoch,
                session: 0,
                principal: principal.name.clone(),
            };
            out.send(&welcome).await?;
            Ok(Guest { principal, features: hello.features, seat })
        }
        Err(refusal) => {
            out.send(&refusal).await?;
            bail!("refused: {}", refusal.message)
        }
    }
}

/// Counts a client's connection. Administrators always get in.
fn take_seat(
    principal: &Principal,
    door: &Door,
    parts: &ListenerParts,
) -> Result<Option<Seat>, Refusal> {
    match door {
        Door::Control => Ok(None),
        Door::Change { .. } => {
            let hint = "wait for some of your clients to end, or end them";
            let seat = parts.callers.enter(&principal.name);
            seat.map(Some).map_err(|full| refusal("too_many_connections", &full.to_string(), hint))
        }
    }
}

fn judge(hello: &Hello, caller: Caller, door: &Door) -> Result<(u16, Principal), Refusal> {
    let version = hello.common_version().ok_or_else(|| {
        let (lowest, highest) = limits::VERSIONS;
        let message = format!("this master speaks protocol versions {lowest} to {highest}");
        refusal("version", &message, "upgrade the older side")
    })?;
    let wanted = match door {
        Door::Control => Role::Control,
        Door::Change { .. } => Role::Client,
    };
    if hello.role != wanted {
        let message = format!("this socket is for role `{wanted}`, not `{}`", hello.role);
        return Err(refusal("wrong_port", &message, "check the address"));
    }
    match caller {
        Caller::Known(principal) => Ok((version, principal)),
        Caller::Refused(why) => Err(refusal("not_allowed", &why, "")),
        Caller::MustShowToken => {
            let token = hello.token.as_ref().map(AsRef::as_ref).unwrap_or_default();
            let name = match door {
                Door::Change { token: true, tokens, .. } => tokens.name_of(token),
                Door::Change { token: false, .. } | Door::Control => None,
            };
            let name = name.ok_or_else(|| {
                refusal("not_allowed", "the token is not known", "check CHANGEPORT_TOKEN_FILE")
            })?;
            let who = Who::Token(name.to_string());
            Ok((version, Principal { name: format!("token:{name}"), who }))
        }
    }
}

pub(super) fn refusal(code: &str, message: &str, hint: &str) -> Refusal {
    Refusal { code: code.to_owned(), message: message.to_owned(), hint: hint.to_owned() }
}

/// Tells a client why it is hung up on, where that is what it sent.
async fn explain<S: AsyncWrite>(error: &anyhow::Error, out: &mut Out<S>) {
    let decode = match error.downcast_ref::<CodecError>() {
        Some(CodecError::Decode(decode)) => Some(decode),
        Some(CodecError::Read(_)) => None,
        None => error.downcast_ref::<DecodeError>(),
    };
    // A kind that is not known here was refused by name already.
    let Some(decode) = decode.filter(|why| !matches!(why, DecodeError::UnknownKind { .. })) else {
        return;
    };
    let said = refusal("bad_frame", &decode.to_string(), "");
    // It may not read any more; then the end of the connection has to do.
    drop(timeout(LAST_WORD, out.send(&said)).await);
}

/// The writing half. A slow client slows only itself.
#[derive(Debug)]
pub(super) struct Out<S> {
    write: WriteHalf<S>,
}

impl<S: AsyncWrite> Out<S> {
    pub(super) async fn send<M: Message>(&mut self, message: &M) -> anyhow::Result<()> {
        self.write(&encode(message)?).await
    }

    async fn write(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        failpoint::before(Act::ClientWrite);
        self.write.write_all(frame).await.context("write to the client")?;
        failpoint::after(Act::ClientWrite);
        Ok(())
    }

    /// Sends an answer or the refusal that stands for it.
    pub(super) async fn send_either<M: Message>(
        &mut self,
        answer: Result<M, Refusal>,
    ) -> anyhow::Result<()> {
        match answer {
            Ok(message) => self.send(&message).await,
            Err(refusal) => self.send(&refusal).await,
        }
    }

    async fn send_verdict(&mut self, verdict: &Verdict) -> anyhow::Result<()> {
        match verdict {
            Verdict::Accepted(accepted) => self.send(accepted).await,
            Verdict::EnvWanted(wanted) => self.send(wanted).await,
            Verdict::Refused(refusal) => self.send(refusal).await,
        }
    }
}

pub(super) struct Session<'a> {
    pub(super) parts: &'a ListenerParts,
    pub(super) door: Door,
    pub(super) principal: Principal,
    user: OnceCell<User>,
    /// What the client understands beyond the version.
    pub(super) features: u64,
    pub(super) authority: Authority,
    follower: Option<Follower>,
    /// Not yet answered, in their order.
    submissions: VecDeque<Reply>,
    pub(super) parts_of_config: configuration::Parts,
}

enum Next {
    Verdict(anyhow::Result<Verdict>),
    Frame(Option<Result<Frame, CodecError>>),
    Step(anyhow::Result<Step>),
}

impl Session<'_> {
    /// Returns who calls, with the name of the user; looked up once, which may take its time.
    pub(super) async fn user(&self) -> anyhow::Result<&User> {
        self.user.get_or_try_init(|| self.parts.users.of(&self.principal.who)).await
    }

    async fn serve<S: AsyncRead + AsyncWrite>(
        &mut self,
        frames: &mut Frames<S>,
        out: &mut Out<S>,
    ) -> anyhow::Result<()> {
        loop {
            let has_room = self.submissions.len() < MOST_SUBMISSIONS;
            // All branches are cancel-safe: a step that was not taken is computed again.
            let next = tokio::select! {
                biased;
                verdict = first_of(&mut self.submissions) => Next::Verdict(verdict),
                frame = frames.next(), if has_room => Next::Frame(frame),
                step = step_of(self.follower.as_mut(), self.parts) => Next::Step(step),
            };
            match next {
                Next::Verdict(verdict) => {
                    self.submissions.pop_front();
                    failpoint::before(Act::Accepted);
                    out.send_verdict(&verdict?).await?;
                    failpoint::after(Act::Accepted);
                }
                Next::Frame(None) => return self.settle(out).await,
                Next::Frame(Some(frame)) => self.frame(&frame?, out).await?,
                Next::Step(step) => self.step(step?, out).await?,
            }
        }
    }

    async fn step<S: AsyncWrite>(&mut self, step: Step, out: &mut Out<S>) -> anyhow::Result<()> {
        match step {
            Step::Progress(progress) => out.send(&progress).await,
            Step::Output(output) => {
                // A client that does not read holds up this call, and is to hold the output once.
                let frame = encode(&output)?;
                drop(output);
                out.write(&frame).await
            }
            Step::Ended(ended) => {
                self.stop_following().await;
                failpoint::before(Act::Ended);
                out.send(&ended).await?;
                failpoint::after(Act::Ended);
                Ok(())
            }
            Step::LogEnded(ended) => {
                self.stop_following().await;
                out.send(&ended).await
            }
        }
    }

    /// Answers every submission that waits for its commit.
    async fn settle<S: AsyncWrite>(&mut self, out: &mut Out<S>) -> anyhow::Result<()> {
        while let Some(mut reply) = self.submissions.pop_front() {
            out.send_verdict(&reply.wait().await?).await?;
        }
        Ok(())
    }

    async fn stop_following(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.leave(self.parts, Departure::Farewell).await;
        }
    }

    async fn frame<S: AsyncWrite>(
        &mut self,
        frame: &Frame,
        out: &mut Out<S>,
    ) -> anyhow::Result<()> {
        let reply = match frame.kind {
            Launch::KIND => submit::launch(self, frame.open()?).await?,
            SendChange::KIND => submit::change(self, frame.open()?).await?,
            _ => {
                self.settle(out).await?;
                return self.request(frame, out).await;
            }
        };
        self.submissions.push_back(reply);
        Ok(())
    }

    async fn request<S: AsyncWrite>(
        &mut self,
        frame: &Frame,
        out: &mut Out<S>,
    ) -> anyhow::Result<()> {
        match frame.kind {
            Follow::KIND => {
                let follow: Follow = frame.open()?;
                self.stop_following().await;
                match Follower::start(self.parts, &self.authority, &follow).await? {
                    Ok(follower) => self.follower = Some(follower),
                    Err(refusal) => out.send(&refusal).await?,
                }
                Ok(())
            }
            LogWanted::KIND => {
                let wanted: LogWanted = frame.open()?;
                if let Some(range) = wanted.range {
                    return log_range::answer(self, &wanted, range, out).await;
                }
                self.stop_following().await;
                match Follower::of_log(self.parts, &self.authority, &wanted).await? {
                    Ok(follower) => self.follower = Some(follower),
                    Err(refusal) => out.send(&refusal).await?,
                }
                Ok(())
            }
            Leave::KIND => {
                let Leave {} = frame.open()?;
                self.stop_following().await;
                Ok(())
            }
            Cancel::KIND => out.send_either(request::cancel(self, frame.open()?).await?).await,
            SetPriority::KIND => {
                out.send_either(request::set_priority(self, frame.open()?).await?).await
            }
            RequestsWanted::KIND => {
                out.send_either(request::lines(self, frame.open()?).await?).await
            }
            GiveUp::KIND => out.send_either(request::give_up(self, frame.open()?).await?).await,
            RequestWanted::KIND => out.send_either(request::line(self, frame.open()?).await?).await,
            BuildsWanted::KIND => {
                out.send_either(question::builds(self, frame.open()?).await?).await
            }
            QueueWanted::KIND => out.send(&question::queue(self).await?).await,
            WhyWanted::KIND => out.send_either(question::why(self, frame.open()?).await?).await,
            LocksWanted::KIND => out.send_either(question::locks(self).await?).await,
            StatusWanted::KIND => out.send_either(question::status(self).await?).await,
            ConfigPart::KIND => configuration::part(self, frame.open()?, out).await,
            PlanWanted::KIND => configuration::plan(self, frame.open()?, out).await,
            ReloadWanted::KIND => configuration::reload(self, frame.open()?, out).await,
            RevisionWanted::KIND => configuration::revision(self, frame.open()?, out).await,
            Ping::KIND => {
                let Ping { nonce } = frame.open()?;
                out.send(&Pong { nonce }).await
            }
            _ => match frame.skip_unknown() {
                Ok(()) => Ok(()),
                Err(unknown) => {
                    out.send(&refusal("unknown_kind", &unknown.to_string(), "")).await?;
                    Err(unknown.into())
                }
            },
        }
    }
}

async fn first_of(submissions: &mut VecDeque<Reply>) -> anyhow::Result<Verdict> {
    match submissions.front_mut() {
        Some(reply) => reply.wait().await,
        None => std::future::pending().await,
    }
}

async fn step_of(follower: Option<&mut Follower>, parts: &ListenerParts) -> anyhow::Result<Step> {
    match follower {
        Some(follower) => follower.next(parts).await,
        None => std::future::pending().await,
    }
}
