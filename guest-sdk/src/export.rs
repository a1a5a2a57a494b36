//! `export_plugin!`: from a list of types to a component.

/// Makes a component of decoders, shapers and collectors, listed in this order. Any list may be
/// left out: then the component does not export that interface. Once per crate; natively it only
/// checks that the types fit.
///
/// ```
/// use exporter_guest_sdk::{Answer, Decoder, Error, NoOptions};
///
/// struct Length;
///
/// impl Decoder for Length {
///     const NAME: &'static str = "length";
///     const SUMMARY: &'static str = "how many bytes the label has";
///     type Options = NoOptions;
///
///     fn open(_: NoOptions) -> Result<Self, Error> {
///         Ok(Self)
///     }
///
///     fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
///         exporter_guest_sdk::text::push_number(out, input.len());
///         Ok(Answer::Known)
///     }
/// }
///
/// exporter_guest_sdk::export_plugin! { decoders: [Length] }
/// ```
#[macro_export]
macro_rules! export_plugin {
    (
        $(decoders: [$($decoder:ty),+ $(,)?] $(,)?)?
        $(shapers: [$($shaper:ty),+ $(,)?] $(,)?)?
        $(collectors: [$($collector:ty),+ $(,)?] $(,)?)?
    ) => {
        $($crate::__export_decoders! { $($decoder),+ })?
        $($crate::__export_shapers! { $($shaper),+ })?
        $($crate::__export_collectors! { $($collector),+ })?
    };
}

/// Natively there is nothing to export: the types are checked, and count as used.
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_decoders {
    ($($decoder:ty),+) => {
        const _: &[$crate::registry::Entry<
            $crate::registry::OpenDecoderFn<$crate::testing::FakeKernel>,
        >] = &[$($crate::registry::Entry::<
            $crate::registry::OpenDecoderFn<$crate::testing::FakeKernel>,
        >::decoder::<$decoder>()),+];
    };
}

#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_shapers {
    ($($shaper:ty),+) => {
        const _: &[$crate::registry::Entry<$crate::registry::OpenShaperFn>] =
            &[$($crate::registry::Entry::<$crate::registry::OpenShaperFn>::shaper::<$shaper>()),+];
    };
}

#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_collectors {
    ($($collector:ty),+) => {
        const _: &[$crate::registry::Entry<
            $crate::registry::OpenCollectorFn<$crate::testing::FakeHost>,
        >] = &[$($crate::registry::Entry::<
            $crate::registry::OpenCollectorFn<$crate::testing::FakeHost>,
        >::collector::<$collector>()),+];
    };
}

#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_decoders {
    ($($decoder:ty),+) => {
        #[doc(hidden)]
        #[allow(unsafe_code, reason = "a component's exports are extern functions")]
        mod __exporter_decoders {
            use super::*;

            struct Plugin;

            impl $crate::wasm::DecoderPlugin for Plugin {
                const ENTRIES: &'static [$crate::registry::Entry<
                    $crate::registry::OpenDecoderFn<$crate::wasm::PluginHost>,
                >] = &[$($crate::registry::Entry::<
                    $crate::registry::OpenDecoderFn<$crate::wasm::PluginHost>,
                >::decoder::<$decoder>()),+];
            }

            $crate::wasm::decoder_world::export!(Plugin with_types_in $crate::wasm::decoder_world);
        }
    };
}

#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_shapers {
    ($($shaper:ty),+) => {
        #[doc(hidden)]
        #[allow(unsafe_code, reason = "a component's exports are extern functions")]
        mod __exporter_shapers {
            use super::*;

            struct Plugin;

            impl $crate::wasm::ShaperPlugin for Plugin {
                const ENTRIES: &'static [$crate::registry::Entry<$crate::registry::OpenShaperFn>] =
                    &[$($crate::registry::Entry::<$crate::registry::OpenShaperFn>::shaper::<$shaper>()),+];
            }

            $crate::wasm::shaper_world::export!(Plugin with_types_in $crate::wasm::shaper_world);
        }
    };
}

#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_collectors {
    ($($collector:ty),+) => {
        #[doc(hidden)]
        #[allow(unsafe_code, reason = "a component's exports are extern functions")]
        mod __exporter_collectors {
            use super::*;

            struct Plugin;

            impl $crate::wasm::CollectorPlugin for Plugin {
                const ENTRIES: &'static [$crate::registry::Entry<
                    $crate::registry::OpenCollectorFn<$crate::wasm::PluginHost>,
                >] = &[$($crate::registry::Entry::<
                    $crate::registry::OpenCollectorFn<$crate::wasm::PluginHost>,
                >::collector::<$collector>()),+];
            }

            $crate::wasm::collector_world::export!(Plugin with_types_in $crate::wasm::collector_world);
        }
    };
}
