package conformance_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/conformance"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/oauth/statuslist"
)

// A statusVector is an entry of status-list/status_list.json: a list, or for the
// last one a signed token around a list.
type statusVector struct {
	ID       string
	Bits     int
	Size     int
	List     json.RawMessage              `json:"status_list"`
	Statuses map[string]statuslist.Status // by index
	Other    *statuslist.Status           `json:"all_other"` // status of all others; nil if there are none
	Input    string
	Key      json.RawMessage
	Claims   struct {
		Iat, Exp int64
		Sub, Iss string
		List     json.RawMessage `json:"status_list"`
	}
}

// Compressed again a list has other bytes, since zlib may choose: it is read again
// instead.
func TestStatusList(t *testing.T) {
	var vectors []statusVector
	conformance.ReadVectors(t, "status-list/status_list.json", &vectors)
	for _, v := range vectors {
		t.Run(v.ID, func(t *testing.T) {
			if v.Input != "" {
				v.token(t)
				return
			}
			list, err := statuslist.Parse(v.List)
			if err != nil {
				t.Fatal(err)
			}
			v.check(t, list)
			v.check(t, v.rebuilt(t))
		})
	}
	if len(vectors) != 7 {
		t.Errorf("%d vectors", len(vectors))
	}
}

func (v *statusVector) check(t *testing.T, list *statuslist.List) {
	t.Helper()
	if list.Len() != v.Size || list.Bits() != v.Bits {
		t.Fatalf("%d statuses of %d bits, want %d of %d", list.Len(), list.Bits(), v.Size, v.Bits)
	}
	for i := range v.Size {
		want, ok := v.Statuses[strconv.Itoa(i)]
		if !ok && v.Other == nil {
			t.Fatalf("no status for %d", i)
		}
		if !ok {
			want = *v.Other
		}
		if got := list.At(i); got != want {
			t.Fatalf("status %d is %d, want %d", i, got, want)
		}
	}
	if got := list.At(v.Size); got != statuslist.Unknown {
		t.Errorf("after the last: %d", got)
	}
}

// rebuilt makes the list anew, writes it and reads it.
func (v *statusVector) rebuilt(t *testing.T) *statuslist.List {
	t.Helper()
	list, err := statuslist.New(v.Bits, v.Size)
	if err != nil {
		t.Fatal(err)
	}
	for index, s := range v.Statuses {
		i, err := strconv.Atoi(index)
		if err != nil {
			t.Fatal(err)
		}
		if err := list.Set(i, s); err != nil {
			t.Fatal(err)
		}
	}
	data, err := list.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if list, err = statuslist.Parse(data); err != nil {
		t.Fatal(err)
	}
	return list
}

// token verifies the list that is signed, at the moment at which it was made. It
// is said to be good for 19 years, which is believed on request only.
func (v *statusVector) token(t *testing.T) {
	key, err := jwk.ParseAs(v.Key, jwk.Params{Algorithm: jwk.ES256, KeyID: "12"})
	if err != nil {
		t.Fatal(err)
	}
	issued := time.Unix(v.Claims.Iat, 0)
	policy := statuslist.Policy{URI: v.Claims.Sub, Issuer: v.Claims.Iss, Now: func() time.Time { return issued }}
	if list, err := statuslist.Verify(policy, key, v.Input); err != nil || list.Expiry().Sub(issued) != jwt.DefaultMaxLife {
		t.Errorf("%v", err)
	}
	policy.MaxAge = time.Unix(v.Claims.Exp, 0).Sub(issued)
	got, err := statuslist.Verify(policy, key, v.Input)
	if err != nil {
		t.Fatal(err)
	}
	want, err := statuslist.Parse(v.Claims.List)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Len() {
		if got.At(i) != want.At(i) {
			t.Errorf("status %d is %d, want %d", i, got.At(i), want.At(i))
		}
	}
	if got.Len() != want.Len() || !got.Expiry().Equal(time.Unix(v.Claims.Exp, 0)) {
		t.Errorf("%d statuses until %v", got.Len(), got.Expiry())
	}
}
