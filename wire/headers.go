package wire

import (
	"errors"

	"golang.org/x/net/http2/hpack"
)

// headerField is one instruction of a header block (RFC 7541, section 6) and the
// field that it encodes.
type headerField struct {
	from, to    int // the position of its bytes in the frame's part of the block
	instruction string
	name, value string // both empty if the instruction changes the table's size
	known       bool   // false if the instruction continues in the next frame
}

const (
	// maxTable is the maximum size of the dynamic table, regardless of what the
	// peers agree on.
	maxTable = 1 << 20
	// maxFieldText limits the text of one frame's fields. One byte can stand for
	// a field as large as the table, so one frame can stand for gigabytes (an
	// HPACK bomb; RFC 7541, section 7.3).
	maxFieldText = 64 << 10
	// maxFieldString is the maximum length of a name or value. Decoding byte by
	// byte takes quadratic time.
	maxFieldString = 32 << 10
)

var (
	errFieldsElided = errors.New("too much text for so few bytes")
	errKeptInPart   = errors.New("a frame with header fields was too large, or was cut off: what follows can't be decoded")
)

// fieldDecoder decodes the header blocks of one direction. It processes one frame
// at a time, since a CONTINUATION frame may begin in the middle of a field (RFC
// 9113, section 4.3).
type fieldDecoder struct {
	hpack *hpack.Decoder
	lost  error // after a failure the rest cannot be decoded (RFC 7541, section 2.3.2)
	field hpack.HeaderField
	done  bool // field is set
	part  bool // an instruction has begun but not ended
	name  string
}

func newFieldDecoder() *fieldDecoder {
	d := &fieldDecoder{}
	d.hpack = hpack.NewDecoder(4096, func(f hpack.HeaderField) { d.field, d.done = f, true }) // SETTINGS_HEADER_TABLE_SIZE's default (RFC 9113, section 6.5.2)
	d.hpack.SetAllowedMaxDynamicTableSize(maxTable)
	d.hpack.SetMaxStringLength(maxFieldString)
	return d
}

// decode returns the fields in a part of a header block. end says that the block
// ends with it. Feeding the decoder one byte at a time shows where each field
// ends.
func (d *fieldDecoder) decode(block []byte, end bool) ([]headerField, error) {
	if d.lost != nil {
		return nil, d.lost
	}
	var fields []headerField
	text, elided := 0, false
	from := 0
	for i := range block {
		first := !d.part
		if first {
			d.part, d.name, from = true, instruction(block[i]), i
		}
		d.done = false
		if _, err := d.hpack.Write(block[i : i+1]); err != nil {
			d.lost = err
			return fields, err
		}
		if !d.done && (d.name != tableSize || !sizeEnds(block[i], first)) {
			continue
		}
		f := headerField{from: from, to: i + 1, instruction: d.name, known: true}
		if d.done {
			f.name, f.value = d.field.Name, d.field.Value
		}
		d.part, d.field = false, hpack.HeaderField{}
		text += len(f.name) + len(f.value) + 32
		if elided = text > maxFieldText; !elided {
			fields = append(fields, f)
		}
	}
	if d.part && !elided && len(block) > 0 {
		fields = append(fields, headerField{from: from, to: len(block), instruction: d.name})
	}
	if end {
		if err := d.hpack.Close(); err != nil {
			d.lost = err
			return fields, err
		}
		d.part = false
	}
	if elided {
		return fields, errFieldsElided
	}
	return fields, nil
}

const tableSize = "dynamic table size"

// sizeEnds reports whether b ends a change of the table's size, for which the
// decoder reports no field. The first byte ends it unless all five bits of the
// integer are set. A later byte ends it if its top bit is not set (RFC 7541,
// section 5.1).
func sizeEnds(b byte, first bool) bool {
	if first {
		return b&0x1f != 0x1f
	}
	return b&0x80 == 0
}

// instruction names the instruction that begins with b.
func instruction(b byte) string {
	switch {
	case b&0x80 != 0:
		return "indexed" // RFC 7541, section 6.1
	case b&0xc0 == 0x40:
		return "literal, added to the table" // section 6.2.1
	case b&0xf0 == 0x00:
		return "literal" // section 6.2.2
	case b&0xf0 == 0x10:
		return "literal, never indexed" // section 6.2.3
	}
	return tableSize // section 6.3
}
