//! `multipart/form-data`, read as it comes (RFC 7578, RFC 2046 §5.1): bytes in, events out. Nothing but one head and a piece of a
//! delimiter is ever held back, so that a form of gigabytes passes through.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem::{self, Finder};

/// Longest head of one part, in bytes.
pub const PART_HEAD_BYTES_MAX: usize = 8 * 1024;

/// RFC 2046 §5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

/// Why a form can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// What a form consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    Head(PartHead),
    /// Some of its content.
    Data(Bytes),
    /// It ends.
    EndOfPart,
    /// The form ends; what follows is nobody's.
    End,
}

/// What a part says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHead {
    /// The field's name.
    pub name: String,
    /// The file's name, as the client calls it.
    pub filename: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Start,
    /// Behind a delimiter: a head, or the end.
    Delimited,
    Head,
    Body,
    Ended,
}

/// Reads one form.
#[derive(Debug)]
pub struct FormReader {
    /// `CRLF -- boundary`.
    delimiter: Finder<'static>,
    buffer: BytesMut,
    state: State,
}

impl FormReader {
    /// A reader for the form that a content type announces.
    ///
    /// # Errors
    /// [`Malformed`] when it names no boundary, or one that can't be.
    pub fn new(content_type: &str) -> Result<Self, Malformed> {
        let boundary = boundary(content_type)?;
        let delimiter = format!("\r\n--{boundary}");
        // The first delimiter has no line before it; reading it like the others needs one.
        Ok(Self {
            delimiter: Finder::new(&delimiter).into_owned(),
            buffer: BytesMut::from("\r\n"),
            state: State::Start,
        })
    }

    /// Takes the next bytes; every event of those before must have been taken out.
    pub fn push(&mut self, data: &[u8]) {
        if self.state != State::Ended {
            self.buffer.extend_from_slice(data);
        }
    }

    /// The next event; `None` when it needs more bytes.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn next(&mut self) -> Result<Option<Event>, Malformed> {
        loop {
            match self.state {
                State::Start => {
                    if !self.begins_with_delimiter()? {
                        return Ok(None);
                    }
                    self.state = State::Delimited;
                }
                State::Delimited => match self.behind_delimiter()? {
                    None => return Ok(None),
                    Some(State::Ended) => {
                        self.state = State::Ended;
                        self.buffer = BytesMut::new();
                        return Ok(Some(Event::End));
                    }
                    Some(next) => self.state = next,
                },
                State::Head => {
                    let Some(head) = self.head()? else {
                        return Ok(None);
                    };
                    self.state = State::Body;
                    return Ok(Some(Event::Head(head)));
                }
                State::Body => return Ok(self.body()),
                State::Ended => return Ok(None),
            }
        }
    }

    /// Whether the form came to its end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn begins_with_delimiter(&mut self) -> Result<bool, Malformed> {
        let delimiter = self.delimiter.needle();
        let there = self.buffer.len().min(delimiter.len());
        if self.buffer[..there] != delimiter[..there] {
            return Err(Malformed("it does not begin with its boundary"));
        }
        if there < delimiter.len() {
            return Ok(false);
        }
        self.buffer.advance(there);
        Ok(true)
    }

    /// `--` ends the form, a new line begins a part; blanks before either mean nothing.
    fn behind_delimiter(&mut self) -> Result<Option<State>, Malformed> {
        while let Some(b' ' | b'\t') = self.buffer.first() {
            self.buffer.advance(1);
        }
        let next = match self.buffer.get(..2) {
            None => return Ok(None),
            Some(b"--") => State::Ended,
            Some(b"\r\n") => State::Head,
            Some(_) => return Err(Malformed("something stands behind a boundary")),
        };
        self.buffer.advance(2);
        Ok(Some(next))
    }

    fn head(&mut self) -> Result<Option<PartHead>, Malformed> {
        const END: &[u8] = b"\r\n\r\n";
        let end = memmem::find(&self.buffer, END);
        if end.unwrap_or(self.buffer.len()) > PART_HEAD_BYTES_MAX {
            return Err(Malformed("the head of a part is too long"));
        }
        let Some(end) = end else { return Ok(None) };
        let lines = self.buffer.split_to(end);
        self.buffer.advance(END.len());
        part_head(&lines).map(Some)
    }

    fn body(&mut self) -> Option<Event> {
        let delimiter = self.delimiter.needle();
        let content = match self.delimiter.find(&self.buffer) {
            Some(0) => {
                self.buffer.advance(delimiter.len());
                self.state = State::Delimited;
                return Some(Event::EndOfPart);
            }
            Some(end) => end,
            // The end may be the beginning of a delimiter.
            None => {
                let may_begin = self.buffer.len().saturating_sub(delimiter.len() - 1);
                let tail = &self.buffer[may_begin..];
                let begun =
                    memchr::memchr_iter(b'\r', tail).find(|at| delimiter.starts_with(&tail[*at..]));
                begun.map_or(self.buffer.len(), |at| may_begin + at)
            }
        };
        (content > 0).then(|| Event::Data(self.buffer.split_to(content).freeze()))
    }
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Result<String, Malformed> {
    let (kind, parameters) = split_value(content_type);
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return Err(Malformed("its content type is not multipart/form-data"));
    }
    let boundary = unique(parse_parameters(parameters)?, "boundary")?
        .ok_or(Malformed("its content type names no boundary"))?;
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    let is_fine = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
        && boundary.bytes().all(is_allowed)
        && !boundary.ends_with(' ');
    is_fine
        .then_some(boundary)
        .ok_or(Malformed("its boundary can't be one"))
}

fn part_head(lines: &[u8]) -> Result<PartHead, Malformed> {
    let lines = std::str::from_utf8(lines).map_err(|_| Malformed("a head is not UTF-8"))?;
    let mut disposition = None;
    for line in lines.split("\r\n") {
        if line.contains(['\r', '\n', '\0']) {
            return Err(Malformed("a head has a broken line"));
        }
        let (name, value) = line
            .split_once(':')
            .ok_or(Malformed("a head has a line without a name"))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        if name == "content-disposition" && disposition.replace(value).is_some() {
            return Err(Malformed("a part has two dispositions"));
        }
        let as_it_is = |encoding: &&str| value.eq_ignore_ascii_case(encoding);
        if name == "content-transfer-encoding" && !["7bit", "8bit", "binary"].iter().any(as_it_is) {
            return Err(Malformed("a part has a transfer encoding"));
        }
    }
    let disposition = disposition.ok_or(Malformed("a part has no disposition"))?;
    let (kind, parameters) = split_value(disposition);
    if !kind.eq_ignore_ascii_case("form-data") {
        return Err(Malformed("a part is no field"));
    }
    let parameters = parse_parameters(parameters)?;
    let filename = unique(parameters.clone(), "filename")?;
    let name = unique(parameters, "name")?.ok_or(Malformed("a part has no name"))?;
    Ok(PartHead { name, filename })
}

/// A header's value and what comes behind its first semicolon.
fn split_value(text: &str) -> (&str, &str) {
    let (value, rest) = text.split_once(';').unwrap_or((text, ""));
    (value.trim(), rest)
}

type Parameters = Vec<(String, String)>;

/// `name=value; name="value"; …`. In quotes a backslash stands for itself unless a quote follows: browsers send paths so.
fn parse_parameters(text: &str) -> Result<Parameters, Malformed> {
    let mut parameters = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, behind) = rest
            .split_once('=')
            .ok_or(Malformed("a parameter has no value"))?;
        let behind = behind.trim_start();
        let (value, next) = match behind.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let (value, next) = behind.split_once(';').unwrap_or((behind, ""));
                (value.trim().to_owned(), next)
            }
        };
        parameters.push((name.trim().to_ascii_lowercase(), value));
        rest = next.trim_start();
    }
    Ok(parameters)
}

/// A value up to its quote, and what comes behind the semicolon that follows.
fn quoted_value(text: &str) -> Result<(String, &str), Malformed> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if text[at + 1..].starts_with('"') => {
                chars.next();
                value.push('"');
            }
            '"' => {
                let behind = text[at + 1..].trim_start();
                return match behind.strip_prefix(';') {
                    Some(next) => Ok((value, next)),
                    None if behind.is_empty() => Ok((value, "")),
                    None => Err(Malformed("something stands behind a quoted value")),
                };
            }
            c => value.push(c),
        }
    }
    Err(Malformed("a quoted value has no end"))
}

fn unique(parameters: Parameters, name: &str) -> Result<Option<String>, Malformed> {
    let mut found = parameters.into_iter().filter(|(n, _)| n == name);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Malformed("a parameter is there twice")),
        (found, None) => Ok(found.map(|(_, value)| value)),
    }
}

#[cfg(test)]
#[path = "multipart/tests.rs"]
mod tests;
