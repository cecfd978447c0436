// Handbook writes docs/protocol, the handbook of etcd's protocol:
//
//	go run ./integration/handbook
//
// Prose is written in pages/*.md.tmpl, templates of text/template. What can be listed is
// not written but called for: a template says which call it wants to show, in protobuf's
// text format, and the program makes the call on a real member, which it has started, and
// puts what went over the connection into the page. A page that asks for an error does not
// come to be when the server answers with something else. The names of what a template can
// call for are those of the methods in funcs.go.
//
// IDs, tokens, ports, times and sizes are replaced on the way (package canon), so that two
// runs write the same bytes. A test runs the program and compares its pages with those that
// are checked in.
//
// Files: book.go renders the pages; scene.go has a page's cluster and calls its members;
// stream.go is for streams and curl.go for the JSON gateway; listing.go cuts the listing
// from the trace; fields.go tells of messages from their descriptors; source.go checks
// what is quoted from this repository and from etcd; errors.go has every error, and treat.go
// asks a client of getcd's what it does about each.
package main
