package main

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/soak/call"
)

func TestRecord(t *testing.T) {
	r := newRecord()
	for _, err := range []error{
		nil, nil, io.EOF, syscall.ECONNRESET, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, syscall.ETIMEDOUT, kit.Wrongf("no"),
	} {
		r.add(connection{err: err, first: time.Second})
	}
	now := r.now(&watch{targets: map[string]*targetWatch{"web": {rounds: 3}, "shop": {rounds: 2}}})
	if now.last() != "soak: rounds=5 connections=7 lost=4 wrong=1" || now.LeastRounds != 2 {
		t.Errorf("%s, least %d", now.last(), now.LeastRounds)
	}
	for _, kind := range []kit.Kind{call.End, kit.Reset, kit.Refused, kit.Timeout, kit.Wrong} {
		if now.Count[kind] != 1 {
			t.Errorf("%d of kind %s", now.Count[kind], kind)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		result
		want string // in the error; empty: none
	}{
		{result{Rounds: 10}, ""},
		{result{Rounds: 9}, "should have been 10"},
		{result{Rounds: 10, Lost: 1}, "1 connections were lost"},
		{result{Rounds: 10, Lost: 1, Excused: 1}, ""},
		{result{Rounds: 10, Wrong: 1}, "1 answered wrong"},
	} {
		err := test.judge(10)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v; want %q", test.result, err, test.want)
		}
	}
}
