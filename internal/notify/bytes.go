package notify

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/unicode/norm"
)

// What Korean gateways take, in bytes of CP949: two for a syllable, one for ASCII.
const (
	MaxSMS = 90
	MaxLMS = 2000
)

// Fitted is a text as a gateway takes it.
type Fitted struct {
	Text  string
	Bytes int // of CP949
	// Replaced are characters that have no encoding, each once, in the order in which they came.
	Replaced []string
	// Cut tells that the text was longer than an LMS may be, and its end is missing.
	Cut bool
}

// Type is what a gateway charges the text as: SMS or LMS.
func (f Fitted) Type() string {
	if f.Bytes <= MaxSMS {
		return "SMS"
	}
	return "LMS"
}

// spelled are common characters without an encoding, in one that has it.
var spelled = map[rune]string{
	'\u00a0': " ", '\u2009': " ", '\u202f': " ", '–': "-", '—': "-", '−': "-", '•': "·", '₩': "원", '©': "(c)", '™': "TM", '\t': " ",
}

// Fit brings a text into what CP949 can encode: a gateway refuses a message with a single emoji in it, or sends it garbled.
// Composed characters; invisible marks go; what has a common spelling gets it; the rest becomes a question mark.
func Fit(text string) Fitted {
	f := Fitted{}
	encoder := korean.EUCKR.NewEncoder()
	var b strings.Builder
	for _, r := range norm.NFC.String(strings.ReplaceAll(text, "\r\n", "\n")) {
		size, encodable := sizeOf(encoder.Bytes, r)
		piece := string(r)
		if !encodable || r == '\t' {
			var known bool
			if piece, known = spelled[r]; !known {
				if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Mn, r) || (unicode.IsControl(r) && r != '\n') {
					continue
				}
				piece = "?"
				if !slices.Contains(f.Replaced, string(r)) {
					f.Replaced = append(f.Replaced, string(r))
				}
			}
			encoded, _ := encoder.Bytes([]byte(piece))
			size = len(encoded)
		}
		if f.Bytes+size > MaxLMS {
			f.Cut = true
			break
		}
		b.WriteString(piece)
		f.Bytes += size
	}
	f.Text = b.String()
	return f
}

func sizeOf(encode func([]byte) ([]byte, error), r rune) (size int, encodable bool) {
	if r == unicode.ReplacementChar || (unicode.IsControl(r) && r != '\n') {
		return 0, false
	}
	encoded, err := encode([]byte(string(r)))
	return len(encoded), err == nil
}
