package httpapi

import (
	"context"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"

	"jari/internal/fault"
	"jari/internal/table"
)

// Bulk bounds what changes many things at once.
type Bulk struct {
	Bytes   int64         // of a file
	Rows    int           // of a file
	AtOnce  int           // that one instance works on
	Timeout time.Duration // for each
}

// contentTypeKey finds the content type of a file in a context.
type contentTypeKey struct{}

// formBytes is what a form may have around its file.
const formBytes = 16 << 10

// atLeisure lets a request take the time of a bulk change: the server's own limits would cut its connection.
func (s *Server) atLeisure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		// A second more than the deadline, for the answer. By the machine's clock, which is what connections go by. A writer
		// that has no deadlines has none to be moved.
		until := s.Clock.Real().Add(s.Bulk.Timeout + time.Second)
		connection := http.NewResponseController(c.Response())
		_ = connection.SetReadDeadline(until)
		_ = connection.SetWriteDeadline(until)
		return next(c)
	}
}

// oneOfFew lets in as many as the instance works on at once: each may hold a whole file in memory.
func (s *Server) oneOfFew(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		select {
		case s.bulk <- struct{}{}:
		default:
			return overloaded()
		}
		defer func() { <-s.bulk }()
		return next(c)
	}
}

// validateFile holds requests whose body is a file against the contract, without reading the body.
func (c *contract) validateFile(op declared, most int64) echo.MiddlewareFunc {
	options := &openapi3filter.Options{
		MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, ExcludeRequestBody: true,
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			kind, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
			if _, known := op.route.Operation.RequestBody.Value.Content[kind]; err != nil || !known {
				return fault.New(fault.Unsupported, fault.CodeUnsupportedMedia)
			}
			parameters := make(map[string]string, len(c.ParamNames()))
			for i, name := range c.ParamNames() {
				parameters[name] = c.ParamValues()[i]
			}
			if err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
				Request: r, PathParams: parameters, Route: op.route, Options: options,
			}); err != nil {
				return invalid(err)
			}
			r.Body = http.MaxBytesReader(c.Response(), r.Body, most)
			ctx := context.WithValue(r.Context(), contentTypeKey{}, r.Header.Get(echo.HeaderContentType))
			c.SetRequest(r.WithContext(ctx))
			return next(c)
		}
	}
}

// file reads the file of a request: its body, or the part of that name of a form. Whatever the content type says, what it
// is is seen from the file itself; but for the character set of a text.
func (s *Server) file(ctx context.Context, body io.Reader, form *multipart.Reader) (*table.File, error) {
	limits := table.Limits{Bytes: s.Bulk.Bytes, Rows: s.Bulk.Rows}
	if form == nil {
		contentType, _ := ctx.Value(contentTypeKey{}).(string)
		return table.Open(body, contentType, limits)
	}
	for {
		part, err := form.NextPart()
		if err != nil {
			return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/file", "is missing").Because(err)
		}
		if part.FormName() == "file" {
			return table.Open(part, part.Header.Get(echo.HeaderContentType), limits)
		}
	}
}
