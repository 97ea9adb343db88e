package session

import "github.com/counterfoil/counterfoil/internal/wire"

const SignLimit = signLimit

var UserBurst = userRate.Burst

// SignRefresh puts the right MAC at the end of the bytes of a refresh token, as
// somebody can who has the key.
func SignRefresh(keys RefreshKeys, raw []byte) string {
	key, _ := keys.RefreshKey(raw[1])
	return wire.Encode(append(raw[:bodySize:bodySize], refreshMAC(key, raw[:bodySize])...))
}
