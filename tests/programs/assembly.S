# Functions as they are written by hand, without a word about their frames.

	.text
	.globl	pushes
	.type	pushes, @function
# Has a frame that comes and goes in steps, and another one while it calls.
pushes:
	push	%rbx
	push	%rbp
	sub	$24, %rsp
	mov	$100, %ebx
1:	push	%rbx
	push	%rbx
	call	clobbers
	pop	%rbx
	add	$8, %rsp
	dec	%ebx
	jnz	1b
	add	$24, %rsp
	pop	%rbp
	pop	%rbx
	ret

# Uses the frame pointer for all but its purpose: an address of the stack that is
# further up than its caller's.
clobbers:
	push	%rbp
	lea	64(%rsp), %rbp
	mov	$300, %ecx
1:	imul	%rcx, %rax
	dec	%ecx
	jnz	1b
	mov	$0, %ebp
	mov	$300, %ecx
2:	imul	%rcx, %rax
	dec	%ecx
	jnz	2b
	pop	%rbp
	ret

	.section	.note.GNU-stack, "", @progbits
