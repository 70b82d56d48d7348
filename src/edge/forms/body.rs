//! A form's body: its fields within their bounds, then its file as a stream that ends only when the whole form ended well.

use super::fields::Fields;
use super::multipart::{Event, FormReader, Malformed, PartHead};
use super::policy::FileBytes;
use crate::edge::guard::body::{BodyFault, GuardedBody};
use crate::ops::sealing::PlainStream;
use crate::ops::{Code, OpError};
use crate::region::BodyError;
use bytes::Bytes;
use futures::StreamExt as _;
use http_body::Body;
use http_body_util::BodyExt as _;

/// Most bytes before the file, S3's own bound, and most behind it.
const BESIDE_BYTES_MAX: u64 = 20 * 1024;

/// What a head counts beside its name.
const HEAD_BYTES: usize = 32;

/// The field that is the file.
const FILE: &str = "file";

/// A form's body as it comes.
pub(super) struct FormBody<B> {
    body: GuardedBody<B>,
    reader: FormReader,
    /// Of what is not the file.
    beside_bytes: u64,
    has_ended: bool,
}

/// Why a form ends early.
enum FormFault {
    Body(BodyFault),
    Malformed(Malformed),
    TooLong,
}

impl From<Malformed> for FormFault {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

impl From<FormFault> for BodyError {
    fn from(fault: FormFault) -> Self {
        let mismatch = |code: Code, message: String| Self::Mismatch {
            code: code.as_str(),
            message,
        };
        match fault {
            FormFault::Body(fault) => fault.into(),
            FormFault::Malformed(why) => mismatch(Code::MalformedPOSTRequest, malformed(why)),
            FormFault::TooLong => mismatch(
                Code::MaxPostPreDataLengthExceededError,
                "Your POST request fields beside the upload file were too large.".to_owned(),
            ),
        }
    }
}

impl From<FormFault> for OpError {
    fn from(fault: FormFault) -> Self {
        BodyError::from(fault).into()
    }
}

fn malformed(why: Malformed) -> String {
    format!("The body of your POST request is not well-formed multipart/form-data: {why}.")
}

impl<B: Body<Data = Bytes> + Unpin> FormBody<B> {
    pub(super) fn new(body: GuardedBody<B>, content_type: &str) -> Result<Self, OpError> {
        let reader = FormReader::new(content_type)
            .map_err(|why| OpError::new(Code::MalformedPOSTRequest, malformed(why)))?;
        Ok(Self {
            body,
            reader,
            beside_bytes: 0,
            has_ended: false,
        })
    }

    /// The next event; `None` at the end of the body, when the form has ended too.
    async fn event(&mut self) -> Result<Option<Event>, FormFault> {
        loop {
            if let Some(event) = self.reader.next()? {
                return Ok(Some(event));
            }
            if self.has_ended {
                return match self.reader.has_ended() {
                    true => Ok(None),
                    false => Err(Malformed("it has no end").into()),
                };
            }
            match self.body.frame().await {
                None => self.has_ended = true,
                Some(Err(fault)) => return Err(FormFault::Body(fault)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.reader.push(&data);
                    }
                }
            }
        }
    }

    /// Counts what is not the file.
    fn count_beside(&mut self, bytes: usize) -> Result<(), FormFault> {
        self.beside_bytes = self.beside_bytes.saturating_add(bytes as u64);
        match self.beside_bytes <= BESIDE_BYTES_MAX {
            true => Ok(()),
            false => Err(FormFault::TooLong),
        }
    }

    /// The fields before the file, and the file's name. What follows is the file.
    ///
    /// # Errors
    /// `IncorrectNumberOfFilesInPostRequest` when there is none, and what a form must not be.
    pub(super) async fn fields(&mut self) -> Result<(Fields, String), OpError> {
        let mut fields = Fields::default();
        while let Some(event) = self.event().await? {
            let Event::Head(PartHead { name, filename }) = event else {
                continue;
            };
            self.count_beside(HEAD_BYTES + name.len())?;
            if name.eq_ignore_ascii_case(FILE) {
                return Ok((fields, filename.unwrap_or_default()));
            }
            let value = self.value().await?;
            fields.add(&name, value)?;
        }
        Err(OpError::new(
            Code::IncorrectNumberOfFilesInPostRequest,
            ONE_FILE,
        ))
    }

    async fn value(&mut self) -> Result<String, OpError> {
        let mut value = Vec::new();
        while let Some(Event::Data(data)) = self.event().await? {
            self.count_beside(data.len())?;
            value.extend_from_slice(&data);
        }
        let text = String::from_utf8(value);
        text.map_err(|_| FormFault::from(Malformed("a field is not UTF-8")).into())
    }

    /// Reads what follows the file: fields there mean nothing, but a second file is one too many.
    async fn rest(&mut self) -> Result<(), BodyError> {
        self.beside_bytes = 0;
        while let Some(event) = self.event().await? {
            match event {
                Event::Head(head) if head.name.eq_ignore_ascii_case(FILE) => {
                    return Err(BodyError::Mismatch {
                        code: Code::IncorrectNumberOfFilesInPostRequest.as_str(),
                        message: ONE_FILE.to_owned(),
                    });
                }
                Event::Head(head) => self.count_beside(HEAD_BYTES + head.name.len())?,
                Event::Data(data) => self.count_beside(data.len())?,
                Event::EndOfPart | Event::End => {}
            }
        }
        Ok(())
    }
}

const ONE_FILE: &str = "POST requires exactly one file upload per request.";

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> FormBody<B> {
    /// The file. It fails as soon as it is longer than it may be, and at its end when it is shorter.
    pub(super) fn file(self, allowed: FileBytes) -> PlainStream {
        let state = Some((self, 0_u64));
        futures::stream::try_unfold(state, move |state| async move {
            let Some((mut form, seen_bytes)) = state else {
                return Ok(None);
            };
            match form.event().await? {
                Some(Event::Data(data)) => {
                    let seen_bytes = seen_bytes.saturating_add(data.len() as u64);
                    match seen_bytes <= allowed.max {
                        true => Ok(Some((data, Some((form, seen_bytes))))),
                        false => Err(too_large()),
                    }
                }
                Some(_) => {
                    if seen_bytes < allowed.min {
                        return Err(too_small());
                    }
                    form.rest().await?;
                    Ok(None)
                }
                None => Err(BodyError::Incomplete),
            }
        })
        .boxed()
    }
}

fn too_large() -> BodyError {
    BodyError::Mismatch {
        code: Code::EntityTooLarge.as_str(),
        message: "Your proposed upload exceeds the maximum allowed size".to_owned(),
    }
}

fn too_small() -> BodyError {
    BodyError::Mismatch {
        code: Code::EntityTooSmall.as_str(),
        message: "Your proposed upload is smaller than the minimum allowed size".to_owned(),
    }
}
