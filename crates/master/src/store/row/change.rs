//! Changes. Author and comments stand twice: exact bytes, and a copy for people.

use engine::ChangeId;
use engine::row::Change;
use serde_bytes::ByteBuf;

use crate::store::codec::{display, name, pack, unpack};
use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};
use crate::store::{Store, StoreError};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, source, principal, category, branch, revision, repository, project, \
             codebase, author_bytes, comments_bytes, files, properties, when_us, accepted_us, \
             launch, holders FROM change ",
            $tail
        )
    };
}

pub(in crate::store) fn put(row: &Change) -> Query<'_> {
    let Change {
        id,
        source,
        principal,
        category,
        branch,
        revision,
        repository,
        project,
        codebase,
        author,
        comments,
        files,
        properties,
        when_us,
        accepted_us,
        launch,
        holders,
    } = row;
    let files: Vec<_> = files.iter().map(|file| serde_bytes::Bytes::new(file)).collect();
    query!(
        "INSERT INTO change (id, source, principal, category, branch, revision, repository, \
         project, codebase, author, author_bytes, comments, comments_bytes, files, properties, \
         when_us, accepted_us, launch, holders) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
         $18, $19) \
         ON CONFLICT (id) DO UPDATE SET source = excluded.source, \
         principal = excluded.principal, category = excluded.category, \
         branch = excluded.branch, revision = excluded.revision, \
         repository = excluded.repository, project = excluded.project, \
         codebase = excluded.codebase, author = excluded.author, \
         author_bytes = excluded.author_bytes, comments = excluded.comments, \
         comments_bytes = excluded.comments_bytes, files = excluded.files, \
         properties = excluded.properties, when_us = excluded.when_us, \
         accepted_us = excluded.accepted_us, launch = excluded.launch, \
         holders = excluded.holders",
        id.0,
        source.as_str(),
        principal.as_str(),
        category.as_deref(),
        branch.as_deref(),
        revision.as_deref(),
        repository.as_str(),
        project.as_str(),
        codebase.as_str(),
        display(author),
        author.as_slice(),
        display(comments),
        comments.as_slice(),
        pack(&files),
        pack(properties),
        *when_us,
        *accepted_us,
        launch.as_ref().map(pack),
        *holders
    )
}

pub(in crate::store) fn after(id: i64, most: i64) -> Query<'static> {
    query!(select!("WHERE id > $1 ORDER BY id LIMIT $2"), id, most)
}

pub(in crate::store) fn living() -> Query<'static> {
    query!(select!("WHERE holders > 0 ORDER BY id"))
}

pub(in crate::store) fn read(record: &Record) -> Result<Change, ReadError> {
    let files: Vec<ByteBuf> = unpack("files", &record.bytes("files")?)?;
    Ok(Change {
        id: ChangeId(record.int("id")?),
        source: name("source", &record.text("source")?)?,
        principal: record.text("principal")?,
        category: record.text_or_null("category")?,
        branch: record.text_or_null("branch")?,
        revision: record.text_or_null("revision")?,
        repository: record.text("repository")?,
        project: record.text("project")?,
        codebase: record.text("codebase")?,
        author: record.bytes("author_bytes")?,
        comments: record.bytes("comments_bytes")?,
        files: files.into_iter().map(ByteBuf::into_vec).collect(),
        properties: unpack("properties", &record.bytes("properties")?)?,
        when_us: record.int("when_us")?,
        accepted_us: record.int("accepted_us")?,
        launch: record.bytes_or_null("launch")?.map(|cell| unpack("launch", &cell)).transpose()?,
        holders: record.int("holders")?,
    })
}

impl Store {
    /// Returns a change, living or not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn change_by_id(&self, id: ChangeId) -> Result<Option<Change>, StoreError> {
        self.ask_one("read a change", query!(select!("WHERE id = $1"), id.0), read).await
    }
}
