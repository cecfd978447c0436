package client

import (
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/status"
)

// What a proxy answers by itself arrives as gRPC's words for an HTTP status other
// than 200 (internal/transport/http2_client.go, operateHeaders). etcd never answers
// a request that it has taken up so.
const (
	httpPrefix    = "unexpected HTTP status code received from server: "
	contentPrefix = "transport: received unexpected content-type "
	bodyPrefix    = "\ndata: "
)

// httpStatus is the HTTP status that the text of a gRPC error tells.
func httpStatus(text string) (int, bool) {
	rest, ok := strings.CutPrefix(text, httpPrefix)
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// statusFate says what an HTTP status means for the request. The server or proxy
// that gives it has not passed the request on, unless it is of those that tell of
// what came after: 500, 502 and 504, and 503, which Envoy gives for a connection to
// the upstream that broke with the request on it.
func statusFate(status int) fate {
	switch status {
	case http.StatusTooManyRequests:
		return overloaded
	case http.StatusRequestTimeout, // the request did not arrive whole (RFC 9110, section 15.5.9)
		http.StatusMisdirectedRequest, // nor was this the server for it (15.5.20)
		http.StatusTooEarly:           // nor was it time (RFC 8470, section 5.2)
		return refused
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return answered
	}
	if status >= 300 && status < 500 { // elsewhere, or the client's fault: 413 for what is too large (15.5.14)
		return answered
	}
	return unknown
}

// withoutBody is err without the body of a proxy's page, which gRPC appends to its
// text.
func withoutBody(err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	text, _, found := strings.Cut(s.Message(), bodyPrefix)
	if !found || !strings.HasPrefix(text, httpPrefix) && !strings.Contains(text, contentPrefix) {
		return err
	}
	return status.Error(s.Code(), text)
}
