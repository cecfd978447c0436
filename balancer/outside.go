package balancer

// A transport without this policy, such as package gateway's, tells the call path by the
// following what it did: Pick, Send and Hear for one RPC, Report for its endpoints. A nil
// Attempt takes no notice.

// Pick says that the RPC goes to that endpoint.
func (a *Attempt) Pick(endpoint string) {
	if a != nil {
		a.sent.Store(false)
		a.heard.Store(false)
		a.outside.Store(&endpoint)
	}
}

// outsider is the endpoint that Pick has named, or empty.
func (a *Attempt) outsider() string {
	if e := a.outside.Load(); e != nil {
		return *e
	}
	return ""
}

// Send says that the request may have left this process.
func (a *Attempt) Send() {
	if a != nil {
		a.sent.Store(true)
	}
}

// Hear says that so many bytes of an answer have come.
func (a *Attempt) Hear(bytes int) {
	if a != nil {
		a.heard.Store(true)
		a.arrived.Add(uint64(max(bytes, 0)))
	}
}

// Report replaces the rows of the table. There is a spare always: no connection is needed
// beforehand, and an only endpoint may be that of many members.
func (t *Table) Report(rows []Status) {
	members := make([]*member, len(rows))
	for i, s := range rows {
		members[i] = &member{}
		members[i].id.Store(s.MemberID)
	}
	t.publish(members, rows)
	t.spare.Store(true)
}
