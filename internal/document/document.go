// Package document holds public answers that are encoded once and are the same for everybody. It knows nothing of what
// they say.
package document

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Document is a public answer, encoded once and the same for everybody.
type Document struct {
	Plain Encoded
	// Type is its media type, as a list of one like the rest.
	Type [1]string

	pack   sync.Once
	packed *Encoded
}

// Encoded is a document in one encoding. Tag and length are lists of one, as headers want them, so that answering
// allocates nothing; whoever gets them doesn't change them.
type Encoded struct {
	Body   []byte
	ETag   [1]string // strong, with its quotes
	Length [1]string // of the body, in bytes
}

// Hash names the content of the document, in letters that any path takes.
func (d *Document) Hash() string { return strings.Trim(d.Plain.ETag[0], `"`) }

// leastPacked is below which size a document isn't worth compressing: it fits into a packet as it is.
const leastPacked = 1 << 10

// Gzip is the document compressed, or nil where that isn't worth it. The first caller makes it.
func (d *Document) Gzip() *Encoded {
	d.pack.Do(func() {
		// Less than half, or it isn't kept: the bound of the cache counts on that.
		if body := squeeze(d.Plain.Body); len(body) > 0 && len(body) < len(d.Plain.Body)/2 {
			d.packed = &Encoded{
				Body: body, ETag: [1]string{`"` + d.Hash() + `-gzip"`}, Length: [1]string{strconv.Itoa(len(body))},
			}
		}
	})
	return d.packed
}

// packers are kept because each has tables of some hundred kilobytes.
var packers = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed) // made each second at most, and these texts repeat themselves
	if err != nil {
		panic(err) // the level is one of the library's own
	}
	return w
}}

func squeeze(body []byte) []byte {
	if len(body) < leastPacked {
		return nil
	}
	w, ok := packers.Get().(*gzip.Writer)
	if !ok {
		return nil
	}
	defer packers.Put(w)
	out := bytes.NewBuffer(make([]byte, 0, len(body)/4))
	w.Reset(out)
	// A buffer takes everything.
	_, _ = w.Write(body)
	_ = w.Close()
	return slices.Clone(out.Bytes())
}

// New encodes a document of JSON.
func New(body []byte) *Document { return NewOf("application/json", body) }

// NewOf encodes a document of a media type.
func NewOf(mediaType string, body []byte) *Document {
	sum := sha256.Sum256(body)
	return &Document{Type: [1]string{mediaType}, Plain: Encoded{
		Body: body, ETag: [1]string{`"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`},
		Length: [1]string{strconv.Itoa(len(body))},
	}}
}
