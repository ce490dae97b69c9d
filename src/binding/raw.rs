//! The hottest calls, as functions of N-API itself: what napi-rs does around a call costs more than the work of these.
//!
//! A reader is a JavaScript function that reads documents of one store from memory, by their primary keys or by those in one
//! unique index, or values of a keyspace. The encoded key stands in a buffer
//! that is shared by all readers; the call takes its length and nothing else, and answers with
//!
//! - `undefined` where there is no document,
//! - a string where it is JSON in ASCII: the JSON itself, or, where it is a JSON string without escapes, what that stands
//!   for; the first byte of the output buffer says which (0 and 1),
//! - a number otherwise: -1 for what can't be told in the call, or eight times the length of the document, which stands in
//!   the output buffer, plus its format;
//! - and, where the length is given negative, with whether there is a document, or -1.
//!
//! Many keys are read at once where the number is [`MANY`] more than their count, negative again for whether there are
//! documents: `raw_many` says how they stand from [`MANY_KEYS_AT`] on, and how their answers stand in the output buffer; `true`
//! says that they do. With a second argument a reader reads nothing, but gives a part of the output buffer, which is ASCII, as a
//! string: the first is its length, the second where it begins.
//!
//! Invariant: the memory of the two buffers is touched within a call only, on the thread of the environment. It stays where
//! it is while a buffer lives, and a reader holds both. (Nobody but `lib/native.js` has them, and it transfers none.)
#![expect(unsafe_code, reason = "N-API is a C interface")]

use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use napi::bindgen_prelude::{BufferSlice, Unknown};
use napi::{Env, JsValue, sys};

use super::keyspace_reader::KeyspaceReader;
use super::raw_many;
use crate::engine::TryGet;
use crate::error::Result;
use crate::jsondb::{DocumentRef, ENCODED_KEY_BYTES_MAX, Format, StoreReader, UniqueReader};

/// What can't be told in the call.
const NOT_AT_HAND: i32 = -1;

/// A document of an answer has a format below this.
const FORMATS: i32 = 8;

/// No length, and no count of keys, is as much.
const MANY: u32 = 1 << 20;

/// Where many keys begin in the buffer of keys: the place of one is before them.
const MANY_KEYS_AT: usize = ENCODED_KEY_BYTES_MAX;

/// What the first byte of the output buffer says of a string.
const IS_JSON: u8 = 0;
const IS_VALUE: u8 = 1;

struct Reader {
    documents: RefCell<Documents>,
    key: Shared,
    out: Shared,
}

/// Where a reader reads from.
pub(super) enum Documents {
    ByPrimaryKey(StoreReader),
    ByUniqueKey(UniqueReader),
    /// Its values are taken for documents of bytes.
    InKeyspace(KeyspaceReader),
}

impl Documents {
    fn try_get_with<R>(&mut self, key: &[u8], read: impl FnOnce(DocumentRef<'_>) -> R) -> Result<TryGet<R>> {
        match self {
            Self::ByPrimaryKey(reader) => reader.try_get_with(key, read),
            Self::ByUniqueKey(reader) => reader.try_get_with(key, read),
            Self::InKeyspace(reader) => reader.try_get_with(key, read),
        }
    }
}

/// A buffer of JavaScript.
pub(super) struct Shared {
    pub(super) start: *mut u8,
    pub(super) len: usize,
    reference: sys::napi_ref,
}

/// Makes the function that reads from `documents`; see the module.
pub(super) fn reader<'env>(
    env: &'env Env,
    documents: Documents,
    buffers: [BufferSlice<'_>; 2],
) -> napi::Result<Unknown<'env>> {
    let [key, out] = buffers;
    check_apart(&key, &out)?;
    let (key, out) = (hold(env, &key)?, hold(env, &out)?);
    let reader = Box::into_raw(Box::new(Reader { documents: RefCell::new(documents), key, out })).cast();
    let mut function = ptr::null_mut();
    // SAFETY: the environment is the one of this call, and `reader` lives until the finalizer of the function takes it.
    // Where one of the calls fails, nothing points to it any more.
    unsafe {
        let (name, env) = (c"reader".as_ptr(), env.raw());
        let created = sys::napi_create_function(env, name, -1, Some(read), reader, &mut function);
        let added = match created {
            sys::Status::napi_ok => sys::napi_add_finalizer(
                env,
                function,
                reader,
                Some(drop_reader),
                ptr::null_mut(),
                ptr::null_mut(),
            ),
            failed => failed,
        };
        if added != sys::Status::napi_ok {
            drop_reader(env, reader, ptr::null_mut());
            return Err(napi::Error::from_reason("no function could be made for a reader"));
        }
        Ok(Unknown::from_raw_unchecked(env, function))
    }
}

/// Refuses buffers that share memory: one is written while the other is read.
pub(super) fn check_apart(read: &[u8], written: &[u8]) -> napi::Result<()> {
    let (read, written) = (read.as_ptr_range(), written.as_ptr_range());
    if read.start < written.end && written.start < read.end {
        return Err(napi::Error::from_reason("two buffers share memory"));
    }
    Ok(())
}

/// Holds a buffer, until `let_go`.
pub(super) fn hold(env: &Env, buffer: &BufferSlice<'_>) -> napi::Result<Shared> {
    let mut reference = ptr::null_mut();
    // SAFETY: environment and buffer are those of this call.
    let status = unsafe { sys::napi_create_reference(env.raw(), buffer.raw(), 1, &mut reference) };
    match status {
        sys::Status::napi_ok => {
            Ok(Shared { start: buffer.as_ptr().cast_mut(), len: buffer.len(), reference })
        }
        _ => Err(napi::Error::from_reason("a buffer could not be held")),
    }
}

/// Called once, when nobody can call the function any more.
unsafe extern "C" fn drop_reader(env: sys::napi_env, reader: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `reader` is from `Box::into_raw`, and N-API calls a finalizer once, on the thread of the environment.
    let reader = unsafe { Box::from_raw(reader.cast::<Reader>()) };
    let_go(env, [&reader.key, &reader.out]);
}

/// Lets go of the buffers of a function that nobody can call any more.
pub(super) fn let_go(env: sys::napi_env, buffers: [&Shared; 2]) {
    for shared in buffers {
        // SAFETY: the reference was made in `hold`, and is let go of here alone. There is nothing to do where it fails.
        let _ = unsafe { sys::napi_delete_reference(env, shared.reference) };
    }
}

/// What JavaScript calls.
unsafe extern "C" fn read(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let (mut argc, mut arguments, mut data) = (2, [ptr::null_mut(); 2], ptr::null_mut());
    let (mut len, mut start) = (0, 0);
    // SAFETY: the pointers are to places of the types that N-API writes, for as many arguments as `argc` says.
    let reader = unsafe {
        sys::napi_get_cb_info(env, info, &mut argc, arguments.as_mut_ptr(), ptr::null_mut(), &mut data);
        sys::napi_get_value_int32(env, arguments[0], &mut len);
        if argc > 1 {
            sys::napi_get_value_uint32(env, arguments[1], &mut start);
        }
        // SAFETY: `data` is what `reader` gave to the function, which is alive, since it is being called.
        &*data.cast::<Reader>()
    };
    // A panic must not reach V8. The reader is looked at afresh by the next call.
    let answer = catch_unwind(AssertUnwindSafe(|| match argc {
        2.. => reader.text(env, start, len),
        _ if len.unsigned_abs() >= MANY => reader.read_many(env, len),
        _ => reader.read(env, len),
    }));
    answer.unwrap_or_else(|_| number(env, NOT_AT_HAND))
}

impl Reader {
    fn read(&self, env: sys::napi_env, len: i32) -> sys::napi_value {
        let Ok(mut documents) = self.documents.try_borrow_mut() else { return number(env, NOT_AT_HAND) };
        let key_len = (len.unsigned_abs() as usize).min(self.key.len);
        // SAFETY: the buffer has so many bytes, and no JavaScript runs before the slice is let go of.
        let key = unsafe { std::slice::from_raw_parts(self.key.start, key_len) };
        if len < 0 {
            return match documents.try_get_with(key, |_| ()) {
                Ok(TryGet::Found(())) => boolean(env, true),
                Ok(TryGet::Missing) => boolean(env, false),
                Ok(TryGet::NeedsIo) | Err(_) => number(env, NOT_AT_HAND),
            };
        }
        // SAFETY: as above; nothing else looks at the output buffer meanwhile.
        let out = unsafe { std::slice::from_raw_parts_mut(self.out.start, self.out.len) };
        match documents.try_get_with(key, |document| give(env, document, out)) {
            Ok(TryGet::Found(value)) => value,
            Ok(TryGet::Missing) => ptr::null_mut(),
            Ok(TryGet::NeedsIo) | Err(_) => number(env, NOT_AT_HAND),
        }
    }

    fn read_many(&self, env: sys::napi_env, count: i32) -> sys::napi_value {
        let Ok(mut documents) = self.documents.try_borrow_mut() else { return number(env, NOT_AT_HAND) };
        // SAFETY: as in `read`.
        let (keys, out) = unsafe {
            let keys = std::slice::from_raw_parts(self.key.start, self.key.len);
            (keys, std::slice::from_raw_parts_mut(self.out.start, self.out.len))
        };
        let keys = keys.get(MANY_KEYS_AT..).unwrap_or_default();
        let wanted = (count.unsigned_abs() - MANY) as usize;
        let read = match &mut *documents {
            Documents::ByPrimaryKey(documents) => raw_many::read(documents, keys, wanted, out, count > 0),
            Documents::InKeyspace(values) => raw_many::read(values, keys, wanted, out, count > 0),
            // Of an index there are no such readings.
            Documents::ByUniqueKey(_) => None,
        };
        match read {
            Some(()) => boolean(env, true),
            None => number(env, NOT_AT_HAND),
        }
    }

    /// A part of the output buffer.
    fn text(&self, env: sys::napi_env, start: u32, len: i32) -> sys::napi_value {
        // SAFETY: as in `read`.
        let out = unsafe { std::slice::from_raw_parts(self.out.start, self.out.len) };
        let text = usize::try_from(len).ok().and_then(|len| out.get(start as usize..)?.get(..len));
        text.map_or_else(|| number(env, NOT_AT_HAND), |text| latin1(env, text))
    }
}

/// The answer that is `document`.
fn give(env: sys::napi_env, document: DocumentRef<'_>, out: &mut [u8]) -> sys::napi_value {
    let bytes = document.bytes;
    if document.format == Format::Json && bytes.is_ascii() {
        return give_text(env, bytes, out);
    }
    let (Some(room), Ok(len)) = (out.get_mut(..bytes.len()), i32::try_from(bytes.len())) else {
        return number(env, NOT_AT_HAND);
    };
    room.copy_from_slice(bytes);
    number(env, len * FORMATS + document.format as i32)
}

fn give_text(env: sys::napi_env, json: &[u8], out: &mut [u8]) -> sys::napi_value {
    let plain = raw_many::plain_text(json);
    let Some(kind) = out.first_mut() else { return number(env, NOT_AT_HAND) };
    *kind = if plain.is_some() { IS_VALUE } else { IS_JSON };
    latin1(env, plain.unwrap_or(json))
}

fn latin1(env: sys::napi_env, text: &[u8]) -> sys::napi_value {
    let mut value = ptr::null_mut();
    // SAFETY: every byte is a character of Latin-1, of which there are as many as the length says; they are copied.
    let status = unsafe {
        let start = text.as_ptr().cast::<c_char>();
        sys::napi_create_string_latin1(env, start, text.len().cast_signed(), &mut value)
    };
    if status == sys::Status::napi_ok { value } else { number(env, NOT_AT_HAND) }
}

pub(super) fn number(env: sys::napi_env, number: i32) -> sys::napi_value {
    let mut value = ptr::null_mut();
    // SAFETY: the environment is that of the call. Where it fails, the answer is `undefined` and an exception is pending.
    let _ = unsafe { sys::napi_create_int32(env, number, &mut value) };
    value
}

fn boolean(env: sys::napi_env, is_so: bool) -> sys::napi_value {
    let mut value = ptr::null_mut();
    // SAFETY: as for `number`.
    let _ = unsafe { sys::napi_get_boolean(env, is_so, &mut value) };
    value
}
