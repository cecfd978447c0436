// Handbook writes docs/protocol, the handbook of etcd's protocol:
//
//	go run ./integration/handbook
//
// Prose is written in pages/*.md.tmpl, templates of text/template. What can be listed is
// not written but called for: a template says which call it wants to show, in protobuf's
// text format, and the program makes the call on a real member, which it has started, and
// puts what went over the connection into the page. A page that asks for an error does not
// come to be when the server answers with something else. What a template can call for is the
// table in funcs.go.
//
// IDs, tokens, ports, times and sizes are replaced on the way (package canon), so that two
// runs write the same bytes. A test runs the program and compares its pages with those that
// are checked in.
//
// Files: book.go renders the pages, and funcs.go has what templates call for; scene.go has a
// page's cluster, call.go calls its members, stream.go is for streams and curl.go for the JSON
// gateway; listing.go cuts listings from the trace, and traffic.go frames; refusals.go,
// membership.go and quorum.go provoke errors, errors.go names all of them, told.go makes
// errors.md, and treat.go asks a client of getcd's what it does about each; gatewaypage.go
// makes gateway.md and the index; fields.go tells of messages from their descriptors; source.go
// checks what is quoted from this repository and from etcd.
package main
