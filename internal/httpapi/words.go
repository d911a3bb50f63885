package httpapi

import (
	"net/http"

	"golang.org/x/text/language"

	"jari/internal/fault"
)

// languages are those that Jari speaks; the first is for everybody whose language it isn't.
var languages = []string{"ko", "en"}

var matcher = language.NewMatcher([]language.Tag{language.Korean, language.English})

// languageOf is the language of an answer to this request.
func languageOf(r *http.Request) string {
	header := r.Header.Get("Accept-Language")
	if header == "" || len(header) > 200 {
		return languages[0]
	}
	_, i := language.MatchStrings(matcher, header)
	return languages[i]
}

// words are what people read about a code; machines read the code.
type words struct{ title, detail string }

func wordsOf(code fault.Code, lang string) words {
	both, ok := problemWords[code]
	if !ok {
		both = problemWords[fault.CodeInternal]
	}
	if lang == "en" {
		return both[1]
	}
	return both[0]
}

// problemWords has every code in Korean and English, in sentences that somebody in a hurry understands. A test holds it
// against the codes of the contract.
var problemWords = map[fault.Code][2]words{
	fault.CodeInvalidRequest:     {{"요청 내용을 확인해 주세요.", "fields 에 적힌 항목이 잘못되었습니다."}, {"Please check the request.", "The parts listed in fields are wrong."}},
	fault.CodeMalformedJSON:      {{"요청을 읽을 수 없습니다.", "본문이 올바른 JSON이 아닙니다."}, {"The request can't be read.", "The body isn't valid JSON."}},
	fault.CodeBodyTooLarge:       {{"요청이 너무 큽니다.", ""}, {"The request is too large.", ""}},
	fault.CodeUnsupportedMedia:   {{"지원하지 않는 형식입니다.", "본문은 application/json 이어야 합니다."}, {"This format isn't supported.", "Bodies are application/json."}},
	fault.CodeNotFound:           {{"없는 주소입니다.", ""}, {"There is nothing at this address.", ""}},
	fault.CodeMethodNotAllowed:   {{"이 주소에서 쓸 수 없는 방식입니다.", "허용된 방식은 Allow 머리글에 있습니다."}, {"This method isn't allowed here.", "The header Allow names those that are."}},
	fault.CodeInternal:           {{"예상하지 못한 오류가 발생했습니다.", "문의하실 때 request_id 를 알려 주세요."}, {"Something unexpected happened.", "Please give the request_id when you ask about it."}},
	fault.CodeStoreUnavailable:   {{"지금은 처리할 수 없습니다.", "변경된 것은 없습니다. 잠시 뒤 다시 시도해 주세요."}, {"This can't be done right now.", "Nothing was changed. Please try again in a moment."}},
	fault.CodeTooManyRequests:    {{"요청이 너무 많습니다.", "retry_at 이후에 다시 시도해 주세요."}, {"Too many requests.", "Please try again after retry_at."}},
	fault.CodeOverloaded:         {{"지금 이용자가 많습니다.", "변경된 것은 없습니다. 잠시 뒤 다시 시도해 주세요."}, {"Very many people are here right now.", "Nothing was changed. Please try again in a moment."}},
	fault.CodeCrossOrigin:        {{"다른 사이트에서 보낸 요청은 받지 않습니다.", ""}, {"Requests from other sites aren't accepted.", ""}},
	fault.CodeSessionRequired:    {{"본인 확인이 필요합니다.", "휴대전화로 본인 확인을 해 주세요."}, {"Please verify who you are.", "Verify your phone first."}},
	fault.CodeSessionExpired:     {{"본인 확인이 만료되었습니다.", "휴대전화로 다시 확인해 주세요. 예약은 그대로 있습니다."}, {"Your session is over.", "Verify your phone again. Your booking stays as it is."}},
	fault.CodeAdmissionRequired:  {{"입장이 필요합니다.", "먼저 입장을 받아 주세요."}, {"You haven't been admitted.", "Ask for your admission first."}},
	fault.CodeAdmissionExpired:   {{"입장 시간이 지났습니다.", "입장을 다시 받아 주세요."}, {"Your admission is over.", "Ask for it again."}},
	fault.CodeAdmissionOfAnother: {{"본인의 입장이 아닙니다.", "입장은 확인된 본인과 해당 예약에만 쓸 수 있습니다."}, {"This isn't your admission.", "An admission is for one person and one campaign."}},
	fault.CodeCampaignNotFound:   {{"없는 예약 사업입니다.", ""}, {"There is no such campaign.", ""}},
	fault.CodeRegionNotFound:     {{"없는 지역입니다.", ""}, {"There is no such region.", ""}},
	fault.CodeFeedNotOffered:     {{"다른 사이트를 위한 자료를 제공하지 않습니다.", ""}, {"There is no feed for other sites here.", ""}},
	fault.CodeSiteNotFound:       {{"없는 장소입니다.", ""}, {"There is no such site.", ""}},
	fault.CodeSlotNotFound:       {{"없는 시간대입니다.", ""}, {"There is no such slot.", ""}},
	fault.CodeRoomNotFound:       {{"없는 대기실입니다.", ""}, {"There is no such room.", ""}},
	fault.CodeNoHold:             {{"잡아 둔 자리가 없습니다.", ""}, {"You hold no place.", ""}},
	fault.CodeNoBooking:          {{"예약이 없습니다.", ""}, {"There is no booking.", ""}},
	fault.CodePhoneUnsupported:   {{"이 번호로는 인증번호를 보낼 수 없습니다.", "휴대전화 번호를 확인해 주세요."}, {"Codes can't be sent to this number.", "Please check the mobile number."}},
	fault.CodePhoneLimit:         {{"이 번호의 오늘 인증 횟수를 모두 썼습니다.", "retry_at 이후에 다시 시도해 주세요."}, {"This number has used up today's attempts.", "Please try again after retry_at."}},
	fault.CodeAddressLimit:       {{"같은 곳에서 인증번호를 너무 많이 요청했습니다.", "retry_at 이후에 다시 시도해 주세요."}, {"Too many codes were asked for from where you are.", "Please try again after retry_at."}},
	fault.CodeCodesLimit:         {{"오늘 보낼 수 있는 인증번호를 모두 보냈습니다.", "retry_at 이후에 다시 시도해 주세요."}, {"No more codes can be sent today.", "Please try again after retry_at."}},
	fault.CodeResendTooSoon:      {{"조금 뒤에 다시 요청해 주세요.", "먼저 보낸 인증번호는 계속 쓸 수 있습니다."}, {"Please wait a little before asking again.", "The code that was sent before is still valid."}},
	fault.CodeCodeWrong:          {{"인증번호가 맞지 않습니다.", "남은 횟수를 확인하고 다시 입력해 주세요."}, {"The code is wrong.", "Please check it and try again; attempts_left says how often."}},
	fault.CodeVerificationOver:   {{"이 인증은 끝났습니다.", "처음부터 다시 인증해 주세요."}, {"This verification is over.", "Please start a new one."}},
	fault.CodePersonsPerPhone:    {{"이 번호로 확인할 수 있는 사람 수를 넘었습니다.", "다른 번호를 쓰거나 창구에 문의해 주세요."}, {"This number already stands for as many people as allowed.", "Use another number or ask at the desk."}},
	fault.CodeSchemeNotOffered:   {{"이 방식의 본인 확인은 제공하지 않습니다.", ""}, {"This way of identification isn't offered.", ""}},
	fault.CodeNotEligible:        {{"지금은 이 자리를 예약하실 수 없습니다.", "이유와 예약할 수 있는 때는 decision 에 있습니다."}, {"You can't book this slot at the moment.", "decision says why, and when you can."}},
	fault.CodeRulesUnconfirmed:   {{"지금은 자리를 잡을 수 없습니다.", "변경된 것은 없습니다. 잠시 뒤 다시 시도해 주세요."}, {"Places can't be held right now.", "Nothing was changed. Please try again in a moment."}},
	fault.CodeSlotClosed:         {{"예약을 받지 않는 시간대입니다.", "다른 시간대를 골라 주세요."}, {"This slot can't be booked.", "Please choose another one."}},
	fault.CodeSlotReserved:       {{"다른 예약 차수를 위한 자리입니다.", "다른 시간대를 골라 주세요. retry_at 이 있으면 그때부터 예약하실 수 있습니다."}, {"This slot is kept for another opening.", "Please choose another one. From retry_at on, if it is given, everybody can have it."}},
	fault.CodeSlotFull:           {{"자리가 모두 찼습니다.", "alternatives 에 자리가 있는 다른 시간과 장소가 있습니다."}, {"This slot is full.", "alternatives lists other times and sites with room."}},
	fault.CodeHoldsOther:         {{"이미 다른 자리를 잡아 두었습니다.", "바꾸려면 instead_of 에 그 hold_id 를 적어 주세요."}, {"You hold another place already.", "To change, name its hold_id in instead_of."}},
	fault.CodeHoldEnding:         {{"잡아 둔 자리가 막 끝났습니다.", "잠시 뒤 다시 골라 주세요."}, {"Your hold has just ended.", "Please choose again in a moment."}},
	fault.CodeHoldLimit:          {{"자리를 너무 자주 바꾸었습니다.", "retry_at 이후에 다시 시도해 주세요."}, {"You have changed places too often.", "Please try again after retry_at."}},
	fault.CodeHoldTokenInvalid:   {{"확정할 수 없는 값입니다.", "자리를 다시 골라 주세요."}, {"This hold token isn't valid.", "Please choose a slot again."}},
	fault.CodeHoldOfAnother:      {{"본인이 잡은 자리가 아닙니다.", ""}, {"This isn't your hold.", ""}},
	fault.CodeHoldExpired:        {{"자리를 잡아 둔 시간이 지났습니다.", "자리를 다시 골라 주세요."}, {"Your hold has expired.", "Please choose a slot again."}},
	fault.CodeHoldReleased:       {{"놓아준 자리입니다.", "자리를 다시 골라 주세요."}, {"This hold was given up.", "Please choose a slot again."}},
	fault.CodeHoldSpent:          {{"이 자리의 예약은 이미 끝났습니다.", "자리를 다시 골라 주세요."}, {"The booking of this hold has ended.", "Please choose a slot again."}},
	fault.CodeAlreadyBooked:      {{"이미 예약하셨습니다.", "한 사람은 한 번만 예약할 수 있습니다. 예약을 바꾸려면 변경을 이용해 주세요."}, {"You have a booking already.", "One booking a person. To change it, move it."}},
	fault.CodeReplacedGone:       {{"바꾸려던 예약이 없습니다.", "예약을 다시 확인해 주세요."}, {"The booking to be moved is gone.", "Please look at your booking again."}},
	fault.CodeOutcomeUnknown:     {{"아직 결과를 알 수 없습니다.", "같은 요청을 그대로 다시 보내 주세요. 두 번 예약되지 않습니다."}, {"The outcome isn't known yet.", "Please send the same again. It won't book twice."}},

	// Waiting rooms.
	fault.CodeRoomNotOpen:      {{"아직 접수 전입니다.", "retry_at 부터 등록하실 수 있습니다."}, {"This room isn't open yet.", "You can take a place from retry_at on."}},
	fault.CodeRoomClosed:       {{"대기실이 닫혔습니다.", ""}, {"This room is closed.", ""}},
	fault.CodeRegistrationOver: {{"추첨 등록이 끝났습니다.", "번호표를 받으면 추첨 뒤의 순서로 기다리실 수 있습니다."}, {"Registration for the draw is over.", "Ask for a ticket: you will wait behind those who were drawn."}},
	fault.CodePlaceRequired:    {{"아직 대기 순서가 없습니다.", "먼저 번호표를 받아 주세요."}, {"You have no place in this line yet.", "Ask for a ticket first."}},
	fault.CodeNotYourTurn:      {{"아직 차례가 아닙니다.", "순서는 그대로입니다. 조금 뒤 다시 확인해 주세요."}, {"It isn't your turn yet.", "Your place is kept. Please ask again a little later."}},
	fault.CodeTicketInvalid:    {{"번호표를 읽을 수 없습니다.", "번호표를 다시 받아 주세요. 순서는 그대로입니다."}, {"This ticket can't be read.", "Ask for your ticket again; your place is kept."}},
	fault.CodeTicketOfAnother:  {{"본인의 번호표가 아닙니다.", ""}, {"This isn't your ticket.", "A ticket is for one person and one room."}},
	fault.CodeRoomState:        {{"대기실의 지금 상태에서는 할 수 없습니다.", ""}, {"The room can't do this from its present state.", ""}},
	fault.CodeRoomElsewhere:    {{"다른 대기실을 거쳐야 하는 자리입니다.", "본인의 예약 차수에 맞는 대기실에서 입장해 주세요."}, {"This slot has another line.", "Come in through the room of your own opening."}},
	fault.CodeNoDraw:           {{"지금은 추첨 값을 받지 않습니다.", ""}, {"No value is expected for a draw here now.", ""}},
	fault.CodeValueDiffers:     {{"먼저 입력된 값과 다릅니다.", "두 사람이 같은 값을 입력해야 합니다."}, {"This isn't the value that was typed in first.", "Two people have to type in the same."}},
	fault.CodeSecondPerson:     {{"다른 관리자가 확인해야 합니다.", ""}, {"Another administrator has to confirm this.", ""}},

	// Administration.
	fault.CodeKeyRequired:           {{"관리자 키가 필요합니다.", ""}, {"An administrator's key is needed.", ""}},
	fault.CodeRoleRequired:          {{"이 키로는 할 수 없는 일입니다.", ""}, {"This key's role isn't trusted with this.", ""}},
	fault.CodeKeyOfOtherEnvironment: {{"다른 환경의 관리자 키입니다.", "개발용 키는 운영 서버에서, 운영 키는 개발 서버에서 쓸 수 없습니다."}, {"This key was made for the other environment.", "A development key is refused in production, and the reverse."}},
	fault.CodeKeyNotFound:           {{"없는 키입니다.", "키 번호를 확인해 주세요."}, {"There is no such key.", "Please check the key's id."}},
	fault.CodeChangeFrozen:          {{"예약 시작 전후에는 바꿀 수 없습니다.", "retry_at 이후에 다시 시도해 주세요. 급하면 owner 가 override_freeze 로 이유를 적고 다른 사람의 승인을 받아야 합니다."}, {"Nothing is changed around an opening.", "Please try again after retry_at. If it can't wait, an owner gives a reason in override_freeze and another person approves."}},
	fault.CodeSecondPersonNeeded:    {{"다른 사람의 승인이 필요합니다.", "승인을 요청해 두었습니다. 승인된 뒤 같은 요청을 그대로 다시 보내 주세요."}, {"Another person must approve this.", "It was proposed. Once approved, send the same request again."}},
	fault.CodeSamePerson:            {{"본인이 요청한 일은 승인할 수 없습니다.", "다른 사람의 키로 승인해 주세요."}, {"Nobody approves what they proposed.", "Another person has to, with a key of their own."}},
	fault.CodeApprovalNotFound:      {{"없는 승인 요청입니다.", ""}, {"There is no such proposal.", ""}},
	fault.CodePersonUnknown:         {{"누구의 키인지 알 수 없어 승인할 수 없습니다.", "로그인하거나, 누구의 것인지 등록된 키를 써 주세요."}, {"Nobody is known to hold one of these keys.", "Sign in, or use a key that says whose it is: otherwise it could be the same person's."}},
	fault.CodeStaffNotFound:         {{"없는 관리자입니다.", "관리자 번호를 확인해 주세요."}, {"Nobody who signed in has this id.", "Please check the id."}},
	fault.CodeApprovalOver:          {{"끝난 승인 요청입니다.", "다시 요청해 주세요."}, {"This proposal is over.", "It has to be proposed again."}},
	fault.CodeNotPublishable:        {{"게시할 수 없는 문서입니다.", "이유는 check 에 있습니다."}, {"This document can't be published.", "check says why."}},
	fault.CodeEffectiveTooSoon:      {{"적용 시각이 너무 이릅니다.", "모든 서버가 알 수 있도록 retry_at 이후로 정해 주세요."}, {"This takes effect too soon.", "Choose an instant from retry_at on, so that every instance knows it by then."}},
	fault.CodeVersionNotFound:       {{"없는 판입니다.", ""}, {"There is no such version.", ""}},
	fault.CodeCapacityBelowBooked:   {{"정원을 이미 예약된 수보다 적게 할 수 없습니다.", "예약된 수가 함께 표시됩니다."}, {"The capacity can't be lower than what is booked.", "How many are booked is given with this answer."}},
	fault.CodeVersionMoved:          {{"그사이 다른 판이 게시되었습니다.", "다시 확인해 주세요."}, {"Another version was published meanwhile.", "Please look again."}},
	fault.CodeSlotExists:            {{"이미 있는 시간대입니다.", ""}, {"There is a slot of this site and start already.", ""}},
	fault.CodePlanTooLarge:          {{"예약을 받는 동안 한 번에 바꾸기에는 너무 많습니다.", "나누어 적용하거나 예약이 닫힌 뒤에 적용해 주세요."}, {"This changes too many slots while the campaign is open.", "Do it in parts, or when no wave is open."}},
	fault.CodePlanNotFound:          {{"없는 계획입니다.", ""}, {"There is no such plan.", ""}},
	fault.CodePlanOver:              {{"계획의 유효 시간이 지났습니다.", "다시 만들어 확인해 주세요."}, {"This plan's time is over.", "Make it again and look at it again."}},
	fault.CodePlanApplied:           {{"이미 적용된 계획입니다.", ""}, {"This plan was applied already.", ""}},
	fault.CodePlanDiffers:           {{"확인한 계획과 다릅니다.", "checksum 을 확인해 주세요."}, {"This isn't the plan that was looked at.", "Please check the checksum."}},
	fault.CodePlanOutdated:          {{"계획을 만든 뒤에 바뀐 것이 있습니다.", "변경된 것은 없습니다. 계획을 다시 만들어 확인해 주세요."}, {"Something has changed since this plan was made.", "Nothing was done. Make the plan again and look at it again."}},
	fault.CodeImportUnreadable:      {{"파일을 읽을 수 없습니다.", "이유는 fields 에 있습니다. 변경된 것은 없습니다."}, {"This file can't be read.", "fields says why. Nothing was changed."}},
	fault.CodeListNotFound:          {{"없는 명단입니다.", ""}, {"There is no such list.", ""}},
	fault.CodeImportNotFound:        {{"없는 가져오기입니다.", "명단과 번호를 확인해 주세요."}, {"There is no such import.", "Please check the list and the id."}},
	fault.CodeImportOver:            {{"이미 확정되었거나 철회된 가져오기입니다.", "필요하면 다시 가져와 주세요."}, {"This import was signed off or withdrawn already.", "Import the file again if it is needed."}},
	fault.CodeRowsRefused:           {{"파일에 잘못된 줄이 있어 아무것도 가져오지 않았습니다.", "잘못된 줄과 이유는 refused_rows 에 있습니다."}, {"Rows of this file are wrong, so nothing was imported.", "refused_rows names them by line."}},
	fault.CodeChecksumDiffers:       {{"확인값이 다릅니다.", "가져온 내용의 checksum 과 비교한 값이 같은지 확인해 주세요."}, {"The checksum isn't the one of what was imported.", "Please compare what you were shown."}},
	fault.CodeDraftNotFound:         {{"이 캠페인의 초안이 없습니다.", ""}, {"This campaign has no draft.", ""}},
	fault.CodeDraftChanged:          {{"그사이 초안이 바뀌었습니다.", "초안을 다시 읽고 그 ETag 를 If-Match 로 보내 주세요."}, {"The draft has changed meanwhile.", "Read it again, and send its ETag as If-Match."}},
	fault.CodeChangedMeanwhile:      {{"그사이 내용이 바뀌었습니다.", "다시 확인한 뒤 해 주세요."}, {"This has changed meanwhile.", "Please look again first."}},
	fault.CodeChangeClosed:          {{"변경하거나 취소할 수 있는 시간이 지났습니다.", "장소에 직접 문의해 주세요."}, {"It is too late to change or cancel.", "Please contact the site."}},

	fault.CodeOtherSite:         {{"이 키로는 볼 수 없는 장소입니다.", "키는 한 장소에만 쓸 수 있습니다."}, {"This key is for another site.", "A clinic's key works for one site alone."}},
	fault.CodeBookingElsewhere:  {{"다른 장소의 예약입니다.", "예약된 장소와 시간은 slot 에 있습니다."}, {"This booking is for another site.", "Where and when it is for is in slot."}},
	fault.CodeBookingOtherDay:   {{"오늘 예약이 아닙니다.", "예약된 날짜와 시간은 slot 에 있습니다."}, {"This booking is for another day.", "When it is for is in slot."}},
	fault.CodeBookingCancelled:  {{"취소된 예약입니다.", ""}, {"This booking was cancelled.", ""}},
	fault.CodeAttendanceDiffers: {{"이미 다르게 기록되어 있습니다.", "바꾸려면 이유를 적어 주세요."}, {"Something else was noted already.", "To replace it, give a reason."}},
	fault.CodeDeskShare:         {{"창구에서 예약할 수 있는 몫이 끝났습니다.", "이 장소의 그날 나머지 자리는 온라인으로만 예약할 수 있습니다."}, {"The desk has booked its share.", "The other places of this site on that day are for those who book themselves."}},
	fault.CodeDeskNotYet:        {{"아직 창구에서 예약할 수 없습니다.", "retry_at 부터 가능합니다."}, {"The desk can't book for this wave yet.", "It can from retry_at on."}},
	fault.CodePersonNotFound:    {{"등록되지 않은 사람입니다.", ""}, {"Nobody is known by this id.", ""}},
	fault.CodeSlotNotOver:       {{"아직 예약 시간이 끝나지 않았습니다.", "예약 시간이 끝난 뒤에 기록할 수 있습니다."}, {"The slot isn't over yet.", "Who didn't come can be noted once it is."}},

	fault.CodePossiblyRegistered:      {{"같은 이름과 생년월일로 이미 확인된 분이 있습니다.", "처음 확인하신 휴대전화를 쓰시거나 창구에 문의해 주세요."}, {"Somebody of this name and birth date is registered already.", "Use the phone that was verified first, or ask at the desk."}},
	fault.CodeNotOnList:               {{"명단에서 확인되지 않습니다.", "명단에 적힌 정보와 휴대전화 번호를 그대로 입력해 주세요. 다르다면 명단을 만든 기관에 문의해 주세요."}, {"This isn't on the list.", "Enter everything, the phone number too, as it is on the list. If that is wrong, ask who made the list."}},
	fault.CodeOwnVerificationRequired: {{"본인이 직접 확인해야 합니다.", "이분은 대신 신고할 수 없습니다. 본인 확인을 거친 뒤 대신하실 수 있습니다."}, {"They have to verify for themselves.", "This person can't be declared by another. Once they have verified, you can act for them."}},
	fault.CodeBeneficiariesLimit:      {{"대신할 수 있는 사람 수를 넘었습니다.", ""}, {"You act for as many people as allowed already.", ""}},
	fault.CodeDeclarationsLimit:       {{"오늘은 더 신고할 수 없습니다.", "retry_at 이후에 다시 시도하거나 창구에 문의해 주세요."}, {"No more people can be declared today.", "Please try again after retry_at, or ask at the desk."}},
	fault.CodeActingForAnother:        {{"본인만 할 수 있는 일입니다.", "다른 분을 대신하는 동안에는 할 수 없습니다."}, {"Only the person themself can do this.", "It isn't possible while acting for another."}},
	fault.CodeSignInOver:              {{"이 로그인은 끝났습니다.", "처음부터 다시 로그인해 주세요."}, {"This sign-in is over.", "Please begin again."}},
	fault.CodeSignInRefused:           {{"로그인을 확인할 수 없습니다.", "처음부터 다시 로그인해 주세요."}, {"The identity provider doesn't vouch for this.", "Please begin again."}},
	fault.CodeSignInIncomplete:        {{"인증기관이 필요한 정보를 알려 주지 않았습니다.", "이름, 생년월일 등의 제공에 동의했는지 확인해 주세요."}, {"The identity provider didn't say enough.", "Please check that you agreed to share your name and birth date."}},
	fault.CodeProviderUnavailable:     {{"지금은 인증기관에 연결할 수 없습니다.", "변경된 것은 없습니다. 잠시 뒤 다시 시도해 주세요."}, {"The identity provider can't be reached right now.", "Nothing was changed. Please try again in a moment."}},
	fault.CodeSMSBusy:                 {{"지금 인증번호를 기다리는 사람이 많습니다.", "retry_at 이후에 다시 시도해 주세요."}, {"Many people are waiting for their codes right now.", "Please try again after retry_at."}},
}
