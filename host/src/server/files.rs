//! Granted files that the server's user may not open: the loader is asked for them.

use std::fs::File;
use std::sync::Weak;

use super::loader::{FileFound, Loader};
use crate::link::{FileAnswer, FileRefusal, FileWish};
use crate::plugin::granted::{Metadata, Refused};
use crate::plugin::{ForeignAnswer, ForeignFiles, ForeignRefusal};

/// The loader's files, for plugins.
pub(super) struct LoadersFiles(pub(super) Weak<Loader>);

impl LoadersFiles {
    fn ask<T>(
        &self,
        path: &str,
        wish: FileWish,
        take: fn(FileFound) -> Result<T, Refused>,
    ) -> ForeignAnswer<T>
    where
        T: 'static,
    {
        let (loader, path) = (self.0.upgrade(), path.to_owned());
        Box::pin(async move {
            let loader = loader.ok_or(ForeignRefusal::Nobody)?;
            let found = loader.file(path, wish).await;
            take(found.ok_or(ForeignRefusal::Nobody)?).map_err(ForeignRefusal::Refused)
        })
    }
}

impl ForeignFiles for LoadersFiles {
    fn open(&self, path: &str) -> ForeignAnswer<File> {
        self.ask(path, FileWish::Read, opened)
    }

    fn metadata(&self, path: &str) -> ForeignAnswer<Metadata> {
        self.ask(path, FileWish::Metadata, |found| match found {
            Ok((
                FileAnswer::Metadata {
                    kind,
                    size,
                    modified,
                },
                _,
            )) => Ok(Metadata {
                kind,
                size,
                modified,
            }),
            other => Err(refusal(other)),
        })
    }

    fn list(&self, path: &str) -> ForeignAnswer<Vec<String>> {
        self.ask(path, FileWish::List, |found| match found {
            Ok((FileAnswer::List(names), _)) => Ok(names),
            other => Err(refusal(other)),
        })
    }
}

fn opened(found: FileFound) -> Result<File, Refused> {
    match found {
        Ok((FileAnswer::Opened, Some(file))) => Ok(file.into()),
        other => Err(refusal(other)),
    }
}

/// Of an answer that is not the one to the question.
fn refusal(found: FileFound) -> Refused {
    match found {
        Ok(_) => Refused::Io("the loader gave another answer than asked for".to_owned()),
        Err(FileRefusal::Denied(what)) => Refused::Denied(what),
        Err(FileRefusal::NotFound) => Refused::NotFound,
        Err(FileRefusal::TooLarge(limit)) => Refused::TooLarge(limit),
        Err(FileRefusal::Io(why)) => Refused::Io(why),
    }
}
