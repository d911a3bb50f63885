package fault

// Code is a public error code: stable, documented in openapi/jari.yaml, and coarser than what the server knows.
type Code string

// Codes of the request itself.
const (
	CodeInvalidRequest     Code = "invalid_request"        // a field is missing, unknown or of the wrong form
	CodeMalformedJSON      Code = "malformed_json"         // the body isn't one JSON value
	CodeBodyTooLarge       Code = "body_too_large"         // more than the configured limit
	CodeUnsupportedMedia   Code = "unsupported_media_type" // the body isn't application/json
	CodeNotFound           Code = "not_found"              // no such path
	CodeMethodNotAllowed   Code = "method_not_allowed"     // the path has other methods; see Allow
	CodeInternal           Code = "internal"               // unexpected; nothing more is said
	CodeStoreUnavailable   Code = "store_unavailable"      // a store can't be reached; nothing was changed
	CodeTooManyRequests    Code = "too_many_requests"      // more than one client\'s share; says until when
	CodeOverloaded         Code = "overloaded"             // refused early so that those inside can finish
	CodeCrossOrigin        Code = "cross_origin"           // a page of another origin used the session cookie
	CodeSessionRequired    Code = "session_required"       // no session, or one that can't be read
	CodeSessionExpired     Code = "session_expired"        // expired or ended; verify again
	CodeAdmissionRequired  Code = "admission_required"     // no admission, or one that can't be read
	CodeAdmissionExpired   Code = "admission_expired"      // ask for it again
	CodeAdmissionOfAnother Code = "admission_of_another"   // of another person or another campaign
)

// Codes of waiting rooms.
const (
	CodeRoomNotOpen      Code = "room_not_open"     // no places are given yet; says until when
	CodeRoomClosed       Code = "room_closed"       // over
	CodeRegistrationOver Code = "registration_over" // the draw is frozen; a ticket gives a number behind it
	CodePlaceRequired    Code = "place_required"    // no place in this line yet: register, or ask for a ticket
	CodeNotYourTurn      Code = "not_your_turn"     // with position and serving number; says when to ask again
	CodeTicketInvalid    Code = "ticket_invalid"    // not a ticket of this deployment
	CodeTicketOfAnother  Code = "ticket_of_another" // of another person or another room
	CodeRoomState        Code = "room_state"        // the room can't go there from what it is doing
	CodeRoomElsewhere    Code = "room_elsewhere"    // the admission is to another line than the one for this slot
	CodeNoDraw           Code = "no_draw"           // no value is expected: no such draw, not published yet, or made already
	CodeValueDiffers     Code = "value_differs"     // not the value that the other administrator typed in
	CodeSecondPerson     Code = "second_person"     // another administrator has to confirm this
)

// Codes of what a path names.
const (
	CodeCampaignNotFound Code = "campaign_not_found"
	CodeRegionNotFound   Code = "region_not_found"
	CodeSiteNotFound     Code = "site_not_found"
	CodeSlotNotFound     Code = "slot_not_found"
	CodeRoomNotFound     Code = "room_not_found"
	CodeNoHold           Code = "no_hold"
	CodeNoBooking        Code = "no_booking"
	CodeFeedNotOffered   Code = "feed_not_offered" // this deployment has no feed for other sites
)

// Codes of identity.
const (
	CodePhoneUnsupported Code = "phone_unsupported"  // not a number that this deployment sends codes to
	CodePhoneLimit       Code = "phone_limit"        // a day's budget of this phone is spent; says until when
	CodeAddressLimit     Code = "address_limit"      // too many codes were asked for from these addresses; says until when
	CodeCodesLimit       Code = "codes_limit"        // the deployment's budget of codes is spent; says until when
	CodeSMSBusy          Code = "sms_busy"           // more codes wait than the gateway can send in time; says until when
	CodeResendTooSoon    Code = "resend_too_soon"    // says until when; the code sent before stays valid
	CodeCodeWrong        Code = "code_wrong"         // says how many attempts are left
	CodeVerificationOver Code = "verification_over"  // unknown, used, expired or exhausted: all look the same
	CodePersonsPerPhone  Code = "persons_per_phone"  // this phone already stands for as many people as allowed
	CodeSchemeNotOffered Code = "scheme_not_offered" // this deployment identifies people in another way
	// CodePossiblyRegistered: somebody of this name and birth date is known with another phone.
	CodePossiblyRegistered Code = "possibly_registered"
	CodeNotOnList          Code = "not_on_list" // no such entry, or not with this phone: both look the same
	// CodeOwnVerificationRequired: too old to be declared, or nobody is entitled by being declared.
	CodeOwnVerificationRequired Code = "own_verification_required"
	CodeBeneficiariesLimit      Code = "beneficiaries_limit"  // acts for as many people as allowed already
	CodeDeclarationsLimit       Code = "declarations_limit"   // too many refused ones today; says until when
	CodeActingForAnother        Code = "acting_for_another"   // only for the person themself
	CodeSignInOver              Code = "sign_in_over"         // unknown or expired: begin again
	CodeSignInRefused           Code = "sign_in_refused"      // the provider doesn't vouch for this
	CodeSignInIncomplete        Code = "sign_in_incomplete"   // the provider didn't tell who it is: name, birth date or number
	CodeProviderUnavailable     Code = "provider_unavailable" // the identity provider can't be reached; nothing was changed
)

// Codes of administration.
const (
	CodeKeyRequired  Code = "key_required"  // no key of an administrator, or one that isn't valid
	CodeRoleRequired Code = "role_required" // the key's role isn't trusted with this
	// CodeKeyOfOtherEnvironment is a key of development in production, or the reverse.
	CodeKeyOfOtherEnvironment Code = "key_of_other_environment"
	CodeKeyNotFound           Code = "key_not_found"
	CodeChangeFrozen          Code = "change_frozen"        // an opening is near; says until when
	CodeSecondPersonNeeded    Code = "second_person_needed" // with the approval that is waited for
	CodeSamePerson            Code = "same_person"          // nobody approves what they proposed
	CodePersonUnknown         Code = "person_unknown"       // nobody is known to hold one of the keys: it could be the same person's
	CodeStaffNotFound         Code = "staff_not_found"      // nobody who signed in has this id
	CodeApprovalNotFound      Code = "approval_not_found"
	CodeApprovalOver          Code = "approval_over"      // expired, or somebody else has approved it
	CodeNotPublishable        Code = "not_publishable"    // with the check that says why
	CodeEffectiveTooSoon      Code = "effective_too_soon" // not every instance could know it by then
	CodeVersionNotFound       Code = "version_not_found"
	// CodeCapacityBelowBooked says how many are booked.
	CodeCapacityBelowBooked Code = "capacity_below_booked"
	CodeVersionMoved        Code = "version_moved"  // somebody else published since the caller looked
	CodeSlotExists          Code = "slot_exists"    // of this site, start and cohort
	CodePlanTooLarge        Code = "plan_too_large" // changes more slots than may be while the campaign is open
	CodePlanNotFound        Code = "plan_not_found"
	CodePlanOver            Code = "plan_over"         // its time is over: it has to be made anew
	CodePlanApplied         Code = "plan_applied"      // by somebody else, or it was to be discarded
	CodePlanDiffers         Code = "plan_differs"      // the checksum isn't that of this plan
	CodePlanOutdated        Code = "plan_outdated"     // what it was made on has changed: nothing was done
	CodeImportUnreadable    Code = "import_unreadable" // the file as a whole; says from which line on
)

// Codes of lists of entitled people, drafts and plans.
const (
	CodeListNotFound     Code = "list_not_found"
	CodeImportNotFound   Code = "import_not_found"
	CodeImportOver       Code = "import_over"      // signed off or withdrawn already
	CodeRowsRefused      Code = "rows_refused"     // with what is wrong, by line; nothing was kept
	CodeChecksumDiffers  Code = "checksum_differs" // what is to be signed off isn't what was compared
	CodeDraftNotFound    Code = "draft_not_found"
	CodeDraftChanged     Code = "draft_changed"     // since the caller looked
	CodeChangedMeanwhile Code = "changed_meanwhile" // what this was based on; look again
)

// Codes of holds and bookings.
const (
	CodeNotEligible      Code = "not_eligible"       // with the decision
	CodeRulesUnconfirmed Code = "rules_unconfirmed"  // this instance can't be sure of the current rules
	CodeSlotClosed       Code = "slot_closed"        // closed, not released yet, or too near its start
	CodeSlotReserved     Code = "slot_reserved"      // kept for another wave's people; says until when, where it is shared later
	CodeSlotFull         Code = "slot_full"          // with alternatives
	CodeHoldsOther       Code = "holds_other"        // the person holds another slot; with that hold
	CodeHoldEnding       Code = "hold_ending"        // the person's hold is over but not yet forgotten; says until when
	CodeHoldLimit        Code = "hold_limit"         // too many placements; says until when
	CodeHoldTokenInvalid Code = "hold_token_invalid" // not a hold token of this deployment
	CodeHoldOfAnother    Code = "hold_of_another"    // of another person or another campaign
	CodeHoldExpired      Code = "hold_expired"
	CodeHoldReleased     Code = "hold_released"
	CodeHoldSpent        Code = "hold_spent"      // its booking was made and has ended since
	CodeAlreadyBooked    Code = "already_booked"  // one booking a person
	CodeReplacedGone     Code = "replaced_gone"   // the booking that was to be moved isn't active any more
	CodeOutcomeUnknown   Code = "outcome_unknown" // send the same again
	CodeChangeClosed     Code = "change_closed"   // after the campaign's cut-off for changing or cancelling, or the person came
)

// Codes of what reception and the desk do with bookings.
const (
	CodeOtherSite         Code = "other_site"         // the key is for another site
	CodeBookingElsewhere  Code = "booking_elsewhere"  // it is for another site; says which, and when
	CodeBookingOtherDay   Code = "booking_other_day"  // it is for another day; says which
	CodeBookingCancelled  Code = "booking_cancelled"  // it was cancelled
	CodeAttendanceDiffers Code = "attendance_differs" // something else was noted; replacing it needs a reason
	CodePersonNotFound    Code = "person_not_found"   // nobody is known by this id
	CodeDeskShare         Code = "desk_share"         // the desk has booked its share of this site's places on the day
	CodeDeskNotYet        Code = "desk_not_yet"       // the desk doesn't book for this wave yet; says until when
	CodeSlotNotOver       Code = "slot_not_over"      // nobody is late before the slot has ended; says until when
)
