package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

var (
	marshal = protojson.MarshalOptions{UseProtoNames: true}
	// strict refuses fields that it doesn't know; lenient passes them over, as a newer
	// server may have more of them.
	strict  = protojson.UnmarshalOptions{}
	lenient = protojson.UnmarshalOptions{DiscardUnknown: true}
)

// decodeAnswer reads the answer to a unary call, and reports whether it is one: some
// proxies, and portals in front of networks, answer with 200 and JSON of their own. etcd
// has a header in each answer but for two, and in 3.4 three (api/v3rpc/maintenance.go).
func decodeAnswer(text []byte, m proto.Message) bool {
	switch m.ProtoReflect().Descriptor().FullName() {
	case "etcdserverpb.DefragmentResponse", "etcdserverpb.MoveLeaderResponse", "etcdserverpb.AlarmResponse":
		if strict.Unmarshal(text, m) == nil {
			return true
		}
	}
	if lenient.Unmarshal(text, m) != nil {
		return false
	}
	r := m.ProtoReflect()
	header := r.Descriptor().Fields().ByName("header")
	return header == nil || r.Has(header)
}

// parseFailure reads the JSON of an error:
//
//	{"code": 5, "message": "…"}                      v2 of grpc-gateway, in etcd 3.6 and later
//	{"error": "…", "code": 5, "message": "…"}        v1
//	{"error": {"code": 5, "message": "…"}}           v2, in a stream
//	{"error": {"grpc_code": 5, "message": "…", …}}   v1, in a stream
func parseFailure(text []byte) (codes.Code, string, bool) {
	var f struct {
		Code     uint32          `json:"code"`
		GRPCCode uint32          `json:"grpc_code"`
		Message  *string         `json:"message"`
		Error    json.RawMessage `json:"error"`
	}
	if json.Unmarshal(text, &f) != nil {
		return 0, "", false
	}
	if bytes.HasPrefix(f.Error, []byte("{")) {
		return parseFailure(f.Error)
	}
	code := codes.Code(max(f.Code, f.GRPCCode))
	if code == codes.OK || code > codes.Unauthenticated || f.Message == nil {
		return 0, "", false // somebody else's
	}
	message := *f.Message
	if strings.ContainsFunc(message, unicode.IsControl) { // not etcd's; it may end on a terminal
		message = strconv.Quote(message)
	}
	return code, message, true
}

// failure is the error of an answer that isn't 200 (OK): the server's, in JSON, or
// HTTP's own.
func (x *exchange) failure(resp *http.Response, text []byte) error {
	if code, message, ok := parseFailure(text); ok {
		return status.Error(code, message)
	}
	x.foreign = true
	code, ok := codeOf[resp.StatusCode]
	if !ok {
		code = codes.Unknown
	}
	// The beginning is gRPC's own (internal/transport/http2_client.go), by which the
	// call path of package client knows what it says of the request's fate.
	return status.Errorf(code, "unexpected HTTP status code received from server: %d (%s); content type %q: %s",
		resp.StatusCode, http.StatusText(resp.StatusCode), resp.Header.Get("Content-Type"), firstLine(text))
}

// notJSON is the error of an answer that pretends to be one.
func (x *exchange) notJSON(resp *http.Response, text []byte) error {
	x.foreign = true
	return status.Errorf(codes.Unknown, "gateway: %d (%s) without an etcd's answer; content type %q: %s",
		resp.StatusCode, http.StatusText(resp.StatusCode), resp.Header.Get("Content-Type"), firstLine(text))
}

// codeOf is gRPC's mapping (doc/http-grpc-status-mapping.md). It knows of codes.Unknown
// for all the others.
var codeOf = map[int]codes.Code{
	http.StatusBadRequest:         codes.Internal,
	http.StatusUnauthorized:       codes.Unauthenticated,
	http.StatusForbidden:          codes.PermissionDenied,
	http.StatusNotFound:           codes.Unimplemented,
	http.StatusTooManyRequests:    codes.Unavailable,
	http.StatusBadGateway:         codes.Unavailable,
	http.StatusServiceUnavailable: codes.Unavailable,
	http.StatusGatewayTimeout:     codes.Unavailable,
}

// firstLine is the first line of a text that is not empty, quoted.
func firstLine(text []byte) string {
	const most = 120
	text = bytes.TrimSpace(text)
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if line = bytes.TrimSpace(line); len(line) > most {
		return strconv.Quote(string(line[:most])) + "…"
	}
	return strconv.Quote(string(line))
}
