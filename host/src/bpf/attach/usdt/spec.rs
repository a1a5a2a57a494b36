//! `struct __bpf_usdt_spec`, by which a program finds a probe's arguments, as its object declares
//! it. It has changed between versions of usdt.bpf.h, so that members are found by their names.

use super::argument::{Argument, Location};
use crate::bpf::types::{CType, Member};

/// How an object declares it.
#[derive(Debug, Clone)]
pub(in crate::bpf) struct SpecLayout {
    /// Bytes.
    size: usize,
    count: Member,
    arguments: usize,
    argument_size: usize,
    max: usize,
    value: Member,
    kind: Member,
    register: Member,
    signed: Member,
    shift: Member,
    /// Not before libbpf 1.7.
    index: Option<(Member, Member)>,
    /// Numbers of the kinds, by name.
    kinds: Vec<(String, i128)>,
}

/// What the program does with an argument: names of usdt.bpf.h.
const CONSTANT: &str = "BPF_USDT_ARG_CONST";
const REGISTER: &str = "BPF_USDT_ARG_REG";
const MEMORY: &str = "BPF_USDT_ARG_REG_DEREF";
const INDEXED: &str = "BPF_USDT_ARG_SIB";

impl SpecLayout {
    /// Out of the type of the map's value. `Err`: why that is not enough.
    pub(super) fn of(value: Option<&CType>) -> Result<Self, String> {
        let unknown = |why: &str| {
            format!(
                "how the object declares `struct __bpf_usdt_spec` is not known: {why}; compile it \
                 with -g and a usdt.bpf.h of libbpf 0.8 to 1.7"
            )
        };
        let value = value.ok_or_else(|| unknown("it has no types"))?;
        Self::read(value).map_err(|why| unknown(&why))
    }

    fn read(value: &CType) -> Result<Self, String> {
        let CType::Struct { size, members } = value else {
            return Err("it is no struct".to_owned());
        };
        let spec = Members(members);
        spec.no_others(&["args", "usdt_cookie", "arg_cnt"])?;
        let arguments = spec.get("args")?;
        let CType::Array { of, count: max } = &*arguments.ty else {
            return Err("`args` is no array".to_owned());
        };
        let CType::Struct { members, .. } = &**of else {
            return Err("`args` is no array of structs".to_owned());
        };
        let one = Members(members);
        one.no_others(&[
            "val_off",
            "arg_type",
            "idx_reg_off",
            "scale_bitshift",
            "__reserved",
            "reg_off",
            "arg_signed",
            "arg_bitshift",
        ])?;
        let kind = one.get("arg_type")?;
        let CType::Enum { values, .. } = &*kind.ty else {
            return Err("`arg_type` is no enum".to_owned());
        };
        let index = one.get("idx_reg_off").ok();
        let index = index.zip(one.get("scale_bitshift").ok());
        Ok(Self {
            size: *size,
            count: spec.get("arg_cnt")?,
            arguments: arguments.offset,
            argument_size: of.size(),
            max: *max,
            value: one.get("val_off")?,
            register: one.get("reg_off")?,
            signed: one.get("arg_signed")?,
            shift: one.get("arg_bitshift")?,
            index,
            kinds: values.clone(),
            kind,
        })
    }

    /// `Err`: what programs that were compiled with this declaration cannot read.
    pub(super) fn encode(&self, arguments: &[Argument]) -> Result<Vec<u8>, String> {
        if arguments.len() > self.max {
            return Err(format!(
                "there are {}, and usdt.bpf.h reads {} at most",
                arguments.len(),
                self.max
            ));
        }
        let mut record = vec![0; self.size];
        for (number, argument) in arguments.iter().enumerate() {
            let start = self.arguments + number * self.argument_size;
            self.encode_one(&mut record, start, argument)
                .map_err(|why| format!("argument {number}: {why}"))?;
        }
        put(&mut record, 0, &self.count, arguments.len() as u64)?;
        Ok(record)
    }

    fn encode_one(&self, to: &mut [u8], start: usize, argument: &Argument) -> Result<(), String> {
        let (kind, register, offset) = match argument.location {
            Location::Constant(number) => (CONSTANT, 0, number),
            Location::Register(register) => (REGISTER, register, 0),
            Location::Memory { register, offset } => (MEMORY, register, offset),
            Location::Indexed {
                register,
                index,
                shift,
                offset,
            } => {
                let (index_at, shift_at) = self.index.as_ref().ok_or_else(too_old)?;
                put(to, start, index_at, index.into())?;
                put(to, start, shift_at, shift.into())?;
                (INDEXED, register, offset)
            }
        };
        let known = self.kinds.iter().find(|(name, _)| name == kind);
        let number = known.and_then(|(_, number)| u64::try_from(*number).ok());
        put(to, start, &self.kind, number.ok_or_else(too_old)?)?;
        put(to, start, &self.register, register.into())?;
        put(to, start, &self.value, offset.cast_unsigned())?;
        put(to, start, &self.signed, argument.signed.into())?;
        put(to, start, &self.shift, 64 - 8 * u64::from(argument.size))
    }
}

fn too_old() -> String {
    "it is memory at two registers, which usdt.bpf.h can read since libbpf 1.7: compile the object \
     with that one"
        .to_owned()
}

struct Members<'m>(&'m [Member]);

impl Members<'_> {
    fn get(&self, name: &str) -> Result<Member, String> {
        let member = self.0.iter().find(|member| member.name == name);
        member.cloned().ok_or_else(|| format!("it has no `{name}`"))
    }

    /// What is not known here may be what the program goes by.
    fn no_others(&self, known: &[&str]) -> Result<(), String> {
        let mut members = self.0.iter();
        match members.find(|member| !known.contains(&&*member.name)) {
            Some(other) => Err(format!("it has `{}`, which is not known here", other.name)),
            None => Ok(()),
        }
    }
}

/// Writes a member of a struct that begins at `start`.
fn put(to: &mut [u8], start: usize, member: &Member, number: u64) -> Result<(), String> {
    let does_not_fit = || format!("{number} does not fit into `{}`", member.name);
    let (first, width) = match member.bit_field {
        Some(field) => (start * 8 + field.offset as usize, field.width as usize),
        None => ((start + member.offset) * 8, member.ty.size() * 8),
    };
    if width == 0 || width > 64 || (width < 64 && number >> width != 0) {
        return Err(does_not_fit());
    }
    for bit in 0..width {
        let at = first + bit;
        let byte = to.get_mut(at / 8).ok_or_else(does_not_fit)?;
        *byte |= u8::from(number >> bit & 1 == 1) << (at % 8);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::OpenObject;
    use crate::bpf::attach::usdt::argument::Architecture;
    use crate::bpf::testing;

    /// As libbpf declares it before 1.7, and since.
    const OLD: &str = "u64 val_off; enum { BPF_USDT_ARG_CONST, BPF_USDT_ARG_REG, \
        BPF_USDT_ARG_REG_DEREF } arg_type; short reg_off; bool arg_signed; char arg_bitshift;";
    const NEW: &str = "u64 val_off; enum { BPF_USDT_ARG_CONST, BPF_USDT_ARG_REG, \
        BPF_USDT_ARG_REG_DEREF, BPF_USDT_ARG_SIB } arg_type: 8; __u16 idx_reg_off: 12; \
        __u16 scale_bitshift: 4; __u8 __reserved: 8; short reg_off; bool arg_signed; \
        char arg_bitshift;";

    fn layout(argument: &str) -> Result<SpecLayout, String> {
        let object = testing::compile(&format!(
            "struct argument {{ {argument} }};\n\
             struct spec {{ struct argument args[12]; u64 usdt_cookie; short arg_cnt; }};\n\
             struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); \
             __type(key, int); __type(value, struct spec); }} __bpf_usdt_specs SEC(\".maps\");\n\
             SEC(\"raw_tp/sched_switch\") int f(void *ctx) {{ return 0; }}"
        ));
        let object = OpenObject::open(&object.path, &Default::default()).unwrap();
        SpecLayout::of(object.entry_types("__bpf_usdt_specs").value.as_deref())
    }

    fn encode(layout: &SpecLayout, text: &str) -> Result<Vec<u8>, String> {
        layout.encode(&Argument::parse_all(text, Architecture::X86).unwrap())
    }

    #[test]
    fn records_are_what_the_object_declares() {
        let (old, new) = (layout(OLD).unwrap(), layout(NEW).unwrap());
        assert_eq!((old.size, new.size), (208, 304));
        let of_old = encode(&old, "8@$5 -4@-20(%rbp)").unwrap();
        let minus_20 = (-20_i64).to_ne_bytes();
        assert_eq!(
            of_old[..16],
            [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(of_old[16..24], minus_20);
        assert_eq!(of_old[24..32], [2, 0, 0, 0, 32, 0, 1, 32]);
        assert_eq!(of_old[200..202], [2, 0]);
        let of_new = encode(&new, "2@-20(%rbp,%rax,8)").unwrap();
        assert_eq!(of_new[..8], minus_20);
        // The index is 80 = 0x050, shifted by 3; the first register is at 32.
        assert_eq!(of_new[8..18], [3, 0, 0x50, 0x30, 0, 0, 32, 0, 0, 48]);
        let why = encode(&old, "2@%ax 2@-20(%rbp,%rax,8)").unwrap_err();
        assert!(
            why.starts_with("argument 1: it is memory at two registers"),
            "{why}"
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (declared, words) in [
            (
                &*NEW.replace("short reg_off", "short reg_number"),
                "`reg_number`, which is not known",
            ),
            (&*OLD.replace("bool arg_signed;", ""), "no `arg_signed`"),
            (&*format!("{OLD} u64 more;"), "`more`, which is not known"),
        ] {
            let why = layout(declared).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
        assert!(SpecLayout::of(None).unwrap_err().contains("no types"));
        let many = vec!["8@$1"; 13].join(" ");
        let why = encode(&layout(OLD).unwrap(), &many).unwrap_err();
        assert!(why.contains("there are 13"), "{why}");
    }
}
