package notify

import (
	"fmt"
	"time"
)

// Visit is what a message says of a booking.
type Visit struct {
	Title     string // of the campaign
	Site      string
	Address   string
	StartsAt  time.Time // in the zone of the campaign
	Reference string
}

// CodeText is the message with a code.
func CodeText(language, code string, lifetime time.Duration) string {
	minutes := int(lifetime.Round(time.Minute) / time.Minute)
	if language == "en" {
		return fmt.Sprintf("[Jari] Your code is %s. It is valid for %d min. Tell it to nobody.", code, minutes)
	}
	return fmt.Sprintf("[Jari] 인증번호 %s (%d분간 유효). 다른 사람에게 알려주지 마세요.", code, minutes)
}

// VisitText is the message about a booking that was made, moved or cancelled.
func VisitText(language string, kind Kind, v Visit) string {
	if language == "en" {
		heading := map[Kind]string{Booked: "Booked", Moved: "Moved", Cancelled: "Cancelled"}[kind]
		return fmt.Sprintf("[Jari] %s: %s\n%s\n%s\n%s\nReference %s",
			heading, v.Title, v.StartsAt.Format("Mon 2 Jan 2006 15:04"), v.Site, v.Address, v.Reference)
	}
	heading := map[Kind]string{Booked: "예약 완료", Moved: "예약 변경", Cancelled: "예약 취소"}[kind]
	day := []string{"일", "월", "화", "수", "목", "금", "토"}[v.StartsAt.Weekday()]
	return fmt.Sprintf("[Jari] %s: %s\n%s(%s) %s\n%s\n%s\n예약번호 %s",
		heading, v.Title, v.StartsAt.Format("2006년 1월 2일"), day, v.StartsAt.Format("15:04"), v.Site, v.Address, v.Reference)
}
