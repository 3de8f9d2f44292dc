//! Names of users, as the system's user database has them.
//!
//! Invariant: nobody waits for a name but those who need it. The database may ask a network and
//! block for seconds, so it is asked on threads of its own, of which there are few.

use std::sync::Arc;

use anyhow::Context as _;
use engine::row::User;
use tokio::sync::Semaphore;
use uzers::os::unix::UserExt as _;

use super::identity::Who;

/// Questions at once. A database that does not answer holds up so many threads, and no more.
const AT_ONCE: usize = 8;

/// The user database.
#[derive(Debug, Clone)]
pub struct Users {
    places: Arc<Semaphore>,
}

impl Default for Users {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Users {
    /// Returns what there is to know of a caller.
    pub(super) async fn of(&self, who: &Who) -> anyhow::Result<User> {
        let (uid, gid) = match who {
            Who::User { uid, gid } => (*uid, *gid),
            Who::Token(name) => return Ok(User { name: name.clone(), ..User::default() }),
        };
        let place = self.places.clone().acquire_owned().await.context("look up a user")?;
        let look_up = move || {
            // It goes with the thread: a caller that leaves does not free it.
            let _place = place;
            look_up(uid, gid)
        };
        threads::blocking(look_up).await.context("look up a user")
    }
}

fn look_up(uid: u32, gid: u32) -> User {
    let known = uzers::get_user_by_uid(uid);
    let name = known.as_ref().map(|user| user.name().to_string_lossy().into_owned());
    let home = known.map(|user| user.home_dir().to_string_lossy().into_owned());
    User {
        name: name.unwrap_or_else(|| uid.to_string()),
        uid: Some(uid),
        gid: Some(gid),
        home: home.unwrap_or_else(|| "/".to_owned()),
    }
}
