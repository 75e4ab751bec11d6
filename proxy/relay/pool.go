package relay

import "sync"

// bufferSize is what one read takes at most. A read that fills half of it or more makes the flow a sustained one.
const bufferSize = 64 << 10

type buffer [bufferSize]byte

// buffers are shared by the whole process, as they are only held while bytes are on their way.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

func takeBuffer() *buffer { return buffers.Get().(*buffer) }
