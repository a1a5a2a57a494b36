//! Small components that cost a compiler very much, to see that it is bounded. They are no plugins:
//! whoever compiles them finds out too late.
//!
//! Written byte by byte and without dependencies, since the unit tests of `host` include this file
//! too.

/// One function of `branches` conditional branches that each pass over the assignment of one of
/// `locals` locals: what each local is at each place takes time and memory for branches times
/// locals. 1,000 locals and 100,000 branches are a file of 1.4 MB.
pub(crate) fn branches(locals: u32, branches: u32) -> Vec<u8> {
    let mut body = Vec::new();
    // One group of locals, of type i32.
    leb128(&mut body, 1);
    leb128(&mut body, locals);
    body.push(0x7f);
    for branch in 0..branches {
        let (condition, from, to) = (
            branch.wrapping_mul(7) % locals,
            branch.wrapping_mul(13) % locals,
            branch % locals,
        );
        // block, local.get, br_if 0, local.get, local.set, end
        body.extend([0x02, 0x40, 0x20]);
        leb128(&mut body, condition);
        body.extend([0x0d, 0x00, 0x20]);
        leb128(&mut body, from);
        body.push(0x21);
        leb128(&mut body, to);
        body.push(0x0b);
    }
    body.push(0x0b);
    component(1, &with_length(body))
}

/// `count` functions that do nothing, 4 bytes of the file each.
pub(crate) fn functions(count: u32) -> Vec<u8> {
    // No locals, end.
    component(count, &[2, 0x00, 0x0b].repeat(count as usize))
}

/// A component whose only module has `count` functions without parameters and results.
fn component(count: u32, bodies: &[u8]) -> Vec<u8> {
    let mut functions = Vec::new();
    leb128(&mut functions, count);
    // All of type 0.
    functions.resize(functions.len() + count as usize, 0);
    let mut code = Vec::new();
    leb128(&mut code, count);
    code.extend(bodies);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend(section(1, vec![1, 0x60, 0, 0]));
    module.extend(section(3, functions));
    module.extend(section(10, code));
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.extend(section(1, module));
    component
}

/// A section by its number.
fn section(number: u8, content: Vec<u8>) -> Vec<u8> {
    let mut bytes = vec![number];
    bytes.extend(with_length(content));
    bytes
}

fn with_length(content: Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    leb128(&mut bytes, u32::try_from(content.len()).unwrap());
    bytes.extend(content);
    bytes
}

fn leb128(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
