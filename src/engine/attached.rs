//! State that a layer above keeps once for each open database, however many handles there are.
#![forbid(unsafe_code)]

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use crate::sync::Mutex;

/// One value of each type.
#[derive(Default)]
pub(crate) struct Attached(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Attached {
    /// The value of the type `T`, made where nobody has asked for it before. It must not hold the engine, which would
    /// then never close.
    pub(crate) fn get<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut values = self.0.lock();
        let value = values.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        Arc::clone(value).downcast().expect("the value under the id of a type has this type")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_value_of_each_type() {
        let attached = Attached::default();

        assert!(Arc::ptr_eq(&attached.get::<Mutex<u32>>(), &attached.get::<Mutex<u32>>()));
        *attached.get::<Mutex<u32>>().lock() = 7;
        assert_eq!(*attached.get::<Mutex<u64>>().lock(), 0);
    }
}
