//! A handle to the loop on which a test listens in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use attempt::CommandId;
use engine::Event;
use tokio::sync::mpsc;

use super::handle::{Core, Input};
use crate::tasks::Tasks;

/// What was heard.
#[derive(Debug)]
pub(crate) struct Heard {
    questions: Arc<AtomicUsize>,
    /// Logs that are said to be sealed.
    pub(crate) sealed: mpsc::Receiver<CommandId>,
}

impl Heard {
    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

/// Makes a handle that passes everything on to the loop, where there is one.
pub(crate) fn listen_in(core: Option<Core>, tasks: &Tasks) -> (Core, Heard) {
    let (inputs, mut queue) = mpsc::channel(64);
    let (tell, sealed) = mpsc::channel(64);
    let questions = Arc::new(AtomicUsize::new(0));
    let count = questions.clone();
    tasks.spawn("listen in", async move {
        while let Some(input) = queue.recv().await {
            match &input {
                Input::Question(_) => drop(count.fetch_add(1, Ordering::SeqCst)),
                Input::Event(Event::LogSealed { command }) => tell.send(*command).await.unwrap(),
                Input::Event(_) | Input::Asked(..) | Input::Attached(..) => {}
            }
            if let Some(core) = &core {
                core.inputs.send(input).await.unwrap();
            }
        }
    });
    (Core { inputs }, Heard { questions, sealed })
}
