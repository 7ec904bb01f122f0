//! Where V8 keeps what, as it says itself.

use super::code::CodeLayout;

/// Numbers that V8 exports, all with this in front of their names.
pub(super) const PREFIX: &str = "v8dbg_";

/// Offsets are in bytes, and from the start of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// From the frame pointer.
    pub(crate) frame: FrameLayout,
    pub(super) instance_type: usize,
    pub(super) function_shared: usize,
    pub(super) shared_name_or_scope: usize,
    pub(super) shared_script: usize,
    /// Where its bytecode is, or an object that has it.
    pub(super) shared_code: usize,
    pub(super) script_name: usize,
    pub(super) script_source: usize,
    /// What of a scope's description comes before its variables, in words.
    pub(super) scope_variables: usize,
    pub(super) bytecode_data: usize,
    pub(super) bytecode_positions: usize,
    pub(super) array_length: usize,
    pub(super) array_data: usize,
    pub(super) code: CodeLayout,
    pub(super) strings: StringLayout,
    pub(super) types: Types,
}

/// What a frame has where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrameLayout {
    pub(crate) context: i64,
    pub(crate) function: i64,
    pub(crate) bytecode: i64,
    pub(crate) offset: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StringLayout {
    pub(super) length: usize,
    pub(super) characters: usize,
    pub(super) cons_first: usize,
    pub(super) cons_second: usize,
    pub(super) sliced_parent: usize,
    pub(super) sliced_offset: usize,
    pub(super) thin_actual: usize,
    /// Of one whose characters are no object; their address comes next.
    pub(super) resource: usize,
}

/// What the map of an object says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Types {
    pub(super) function: u16,
    pub(super) shared: u16,
    pub(super) script: u16,
    pub(super) scope: u16,
    pub(super) bytecode: u16,
    pub(super) byte_array: u16,
    /// Those that no script can get at, since version 12.
    pub(super) trusted_byte_array: Option<u16>,
    /// Arrays of objects.
    pub(super) arrays: Vec<u16>,
    pub(super) first_no_string: u16,
}

impl Layout {
    /// Whether optimized code may go on in the frame of other code. With the compiler
    /// that does so, the trusted objects came.
    pub(super) fn optimizes_in_place(&self) -> bool {
        self.types.trusted_byte_array.is_some()
    }

    /// What the numbers say, by name; `Err` names the first one that is missing, or
    /// is one that these frames are not known with.
    pub(super) fn of<'n>(numbers: &[(&'n str, i32)]) -> Result<Self, &'static str> {
        // Names end with types, which are called otherwise in each version.
        let find = |start: &str| {
            let of_name = |(name, _): &&(&'n str, i32)| {
                name.strip_prefix(start)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
            };
            numbers.iter().find(of_name).map(|(_, number)| *number)
        };
        let number = |name: &'static str| find(name).ok_or(name);
        let offset = |name| usize::try_from(number(name)?).ok().filter(|at| *at < 256).ok_or(name);
        let object_type = |name| u16::try_from(number(name)?).map_err(|_| name);
        // Small numbers in the upper half of a word, and no compressed pointers.
        for (name, expected) in
            [("TaggedSize", 8), ("HeapObjectTag", 1), ("SmiTag", 0), ("SmiShiftSize", 31)]
        {
            if number(name)? != expected {
                return Err(name);
            }
        }
        for (name, expected) in [
            ("StringRepresentationMask", 7),
            ("SeqStringTag", 0),
            ("ConsStringTag", 1),
            ("ExternalStringTag", 2),
            ("SlicedStringTag", 3),
            ("ThinStringTag", 5),
            ("StringEncodingMask", 8),
            ("OneByteStringTag", 8),
        ] {
            if number(name)? != expected {
                return Err(name);
            }
        }
        let script = offset("class_SharedFunctionInfo__script");
        // The constant pool and the handlers came first, once.
        let bytecode_positions = match find("class_BytecodeArray__wrapper") {
            Some(wrapper) => usize::try_from(wrapper).unwrap_or(0) + 8,
            None => 32,
        };
        let array_data = offset("class_FixedArray__data")?;
        let stream = object_type("type_InstructionStream");
        // Relocations came first, once.
        let data = if find("class_Code__instruction_stream").is_some() { 8 } else { 16 };
        // Version 10 does not say.
        let in_data = |name, index| array_data + 8 * offset(name).unwrap_or(index);
        let wrapped_shared = offset("DeoptimizationDataWrappedSharedFunctionInfoIndex");
        let shared = in_data("DeoptimizationDataSharedFunctionInfoIndex", 6);
        let arrays = [
            "type_FixedArray",
            "type_WeakFixedArray",
            "type_TrustedFixedArray",
            "type_TrustedWeakFixedArray",
            "type_ProtectedFixedArray",
            "type_ProtectedWeakFixedArray",
        ];
        Ok(Layout {
            frame: FrameLayout {
                context: number("off_fp_context")?.into(),
                function: number("off_fp_function")?.into(),
                bytecode: number("off_fp_bytecode_array")?.into(),
                offset: number("off_fp_bytecode_offset")?.into(),
            },
            instance_type: offset("class_Map__instance_type")?,
            function_shared: offset("class_JSFunction__shared")?,
            shared_name_or_scope: offset("class_SharedFunctionInfo__name_or_scope_info")?,
            shared_script: script
                .or_else(|_| offset("class_SharedFunctionInfo__script_or_debug_info"))?,
            // Since version 12, it does not say.
            shared_code: offset("class_SharedFunctionInfo__function_data").unwrap_or(8),
            script_name: offset("class_Script__name")?,
            script_source: offset("class_Script__source")?,
            scope_variables: offset("scopeinfo_idx_first_vars")?,
            bytecode_data: offset("class_BytecodeArray__data")?,
            bytecode_positions,
            array_length: offset("class_FixedArrayBase__length")?,
            array_data,
            code: CodeLayout {
                object_type: stream.or_else(|_| object_type("type_Code"))?,
                instructions: offset("class_InstructionStream__instruction_start")
                    .or_else(|_| offset("class_Code__instruction_start"))?,
                code: stream.ok().map(|_| 8),
                data,
                places: data + 8,
                shared: wrapped_shared.map_or(shared, |index| array_data + 8 * index),
                inlined: in_data("DeoptimizationDataInlinedFunctionCountIndex", 1),
                values: in_data("DeoptimizationDataLiteralArrayIndex", 2),
                calls: in_data("DeoptimizationDataInliningPositionsIndex", 7),
                wrapped: offset("class_SharedFunctionInfoWrapper__shared_info").ok(),
            },
            strings: StringLayout {
                length: offset("class_String__length")?,
                characters: offset("class_SeqOneByteString__chars")?,
                cons_first: offset("class_ConsString__first")?,
                cons_second: offset("class_ConsString__second")?,
                sliced_parent: offset("class_SlicedString__parent")?,
                sliced_offset: offset("class_SlicedString__offset")?,
                thin_actual: offset("class_ThinString__actual")?,
                resource: offset("class_ExternalString__resource")?,
            },
            types: Types {
                function: object_type("type_JSFunction")?,
                shared: object_type("type_SharedFunctionInfo")?,
                script: object_type("type_Script")?,
                scope: object_type("type_ScopeInfo")?,
                bytecode: object_type("type_BytecodeArray")?,
                byte_array: object_type("type_ByteArray")?,
                trusted_byte_array: object_type("type_TrustedByteArray").ok(),
                arrays: arrays.into_iter().filter_map(|name| object_type(name).ok()).collect(),
                first_no_string: object_type("FirstNonstringType")?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::NUMBERS;

    fn without(name: &str) -> Vec<(&'static str, i32)> {
        NUMBERS.into_iter().filter(|(other, _)| *other != name).collect()
    }

    #[test]
    fn a_version_says_where_it_keeps_what() {
        let layout = Layout::of(&NUMBERS).unwrap();
        assert_eq!(layout.frame.context, -8);
        assert_eq!(layout.shared_script, 32);
        assert_eq!(layout.bytecode_positions, 32);
        // Others follow their wrapper, or call it something else.
        let mut later = without("class_SharedFunctionInfo__script_or_debug_info__HeapObject");
        later.push(("class_SharedFunctionInfo__script__Tagged_HeapObject_", 40));
        later.push(("class_BytecodeArray__wrapper__Tagged_BytecodeWrapper_", 16));
        let layout = Layout::of(&later).unwrap();
        assert_eq!((layout.shared_script, layout.bytecode_positions), (40, 24));
    }

    #[test]
    fn what_is_missing_or_new_is_named() {
        let name = "class_Script__source";
        assert_eq!(Layout::of(&without("class_Script__source__Object")), Err(name));
        // Compressed pointers.
        let mut other = without("TaggedSize");
        other.push(("TaggedSize", 4));
        assert_eq!(Layout::of(&other), Err("TaggedSize"));
        let mut far = without("class_Script__source__Object");
        far.push(("class_Script__source__Object", 1 << 20));
        assert_eq!(Layout::of(&far), Err(name));
    }
}
