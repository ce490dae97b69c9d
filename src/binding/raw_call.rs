//! A read in the call, as a function of N-API itself.
//!
//! An answerer is a JavaScript function that does one read of a database, if that is soon done. The packed operation stands in a
//! buffer that is shared by all answerers; the call takes its length and nothing else, and gives 0 where the packed answer
//! stands at the start of the output buffer, -1 where it can't be told in the call, and -2 where that would come to too much.
//!
//! Invariant: as in `raw`: the memory of the two buffers is touched within a call only, on the thread of the environment. It
//! stays where it is while a buffer lives, and an answerer holds both.
#![expect(unsafe_code, reason = "N-API is a C interface")]

use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Weak};

use napi::bindgen_prelude::{BufferSlice, Unknown};
use napi::{Env, sys};

use super::database::Database;
use super::in_call::{self, Tried};
use super::packing::Answers;
use super::raw::{Shared, check_apart, hold, let_go, number};

const ANSWERED: i32 = 0;
const NOT_AT_HAND: i32 = -1;
const TOO_MUCH: i32 = -2;

struct Answerer {
    /// It does not keep the database open.
    database: Weak<Database>,
    /// The answer, in the same memory each time.
    answers: RefCell<Answers>,
    run: Shared,
    out: Shared,
}

/// Makes the function that answers reads of `database`; see the module.
pub(super) fn answerer<'env>(
    env: &'env Env,
    database: &Arc<Database>,
    buffers: [BufferSlice<'_>; 2],
) -> napi::Result<Unknown<'env>> {
    let [run, out] = buffers;
    check_apart(&run, &out)?;
    let (run, out) = (hold(env, &run)?, hold(env, &out)?);
    let (database, answers) = (Arc::downgrade(database), RefCell::default());
    let answerer = Box::into_raw(Box::new(Answerer { database, answers, run, out })).cast();
    let mut function = ptr::null_mut();
    // SAFETY: the environment is the one of this call, and `answerer` lives until the finalizer of the function takes it.
    // Where one of the calls fails, nothing points to it any more.
    unsafe {
        let (name, env) = (c"answerer".as_ptr(), env.raw());
        let created = sys::napi_create_function(env, name, -1, Some(call), answerer, &mut function);
        let added = match created {
            sys::Status::napi_ok => sys::napi_add_finalizer(
                env,
                function,
                answerer,
                Some(drop_answerer),
                ptr::null_mut(),
                ptr::null_mut(),
            ),
            failed => failed,
        };
        if added != sys::Status::napi_ok {
            drop_answerer(env, answerer, ptr::null_mut());
            return Err(napi::Error::from_reason("no function could be made for reads in the call"));
        }
        Ok(Unknown::from_raw_unchecked(env, function))
    }
}

/// Called once, when nobody can call the function any more.
unsafe extern "C" fn drop_answerer(env: sys::napi_env, answerer: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `answerer` is from `Box::into_raw`, and N-API calls a finalizer once, on the thread of the environment.
    let answerer = unsafe { Box::from_raw(answerer.cast::<Answerer>()) };
    let_go(env, [&answerer.run, &answerer.out]);
}

/// What JavaScript calls.
unsafe extern "C" fn call(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let (mut argc, mut argument, mut data) = (1, ptr::null_mut(), ptr::null_mut());
    let mut len = 0;
    // SAFETY: the pointers are to places of the types that N-API writes, for as many arguments as `argc` says.
    let answerer = unsafe {
        sys::napi_get_cb_info(env, info, &mut argc, &mut argument, ptr::null_mut(), &mut data);
        sys::napi_get_value_uint32(env, argument, &mut len);
        // SAFETY: `data` is what `answerer` gave to the function, which is alive, since it is being called.
        &*data.cast::<Answerer>()
    };
    // A panic must not reach V8. What it left of the answer is forgotten by the next call.
    let answered = catch_unwind(AssertUnwindSafe(|| answerer.answer(len as usize)));
    number(env, answered.unwrap_or(NOT_AT_HAND))
}

impl Answerer {
    fn answer(&self, len: usize) -> i32 {
        let (Some(database), Ok(mut answers)) = (self.database.upgrade(), self.answers.try_borrow_mut())
        else {
            return NOT_AT_HAND;
        };
        answers.clear();
        // SAFETY: the buffer has so many bytes, and no JavaScript runs before the slice is let go of.
        let run = unsafe { std::slice::from_raw_parts(self.run.start, len.min(self.run.len)) };
        match in_call::answer(&database, run, &mut answers, self.out.len) {
            Tried::NotAtHand => return NOT_AT_HAND,
            Tried::TooMuch => return TOO_MUCH,
            Tried::Answered => {}
        }
        let answer = answers.as_slice();
        // SAFETY: as above; nothing else looks at the output buffer meanwhile.
        let out = unsafe { std::slice::from_raw_parts_mut(self.out.start, self.out.len) };
        let Some(room) = out.get_mut(..answer.len()) else { return TOO_MUCH };
        room.copy_from_slice(answer);
        ANSWERED
    }
}
