// Package document describes what the nodes of a fleet write into its engine: the names
// of the keys, and the bodies of the values as Go types. Every value but the seat is in
// an envelope (package envelope); parts marked s are sealed there.
//
//	fleet               Fleet          seat                "NODE TERM" as text, leased
//	live/TARGET         Release        pairs/TARGET/VER  s Pair; its private key
//	orders/TARGET/CA  s order.json     records/TARGET    s Record; the next key
//	accounts/CA       s Account        tokens/TOKEN        Token, leased
//	orderlog/CA/SET     OrderLog       counts/CA           Counts
//	asks/NODE/ID        Ask, leased    nodes/NODE/alive    Alive, leased
//	nodes/NODE/report   Report         txt/VALUE           TXT
//
// [Parse] checks what it reads, as far as that can be seen from one value: whether a pair
// fits its target, and a serial its predecessor, is for the caller. Text that a terminal
// would obey is cleaned; fields of newer versions are passed over.
package document
