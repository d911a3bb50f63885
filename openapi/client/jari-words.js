// What people read while they wait, in two languages. The room's own message stands beside it, never instead of it.

const numbers = { ko: new Intl.NumberFormat('ko-KR'), en: new Intl.NumberFormat('en-GB') };

const fixed = {
  connecting: { ko: '연결하고 있습니다. 잠시만 기다려 주세요.', en: 'Connecting. Please wait a moment.' },
  sign_in: {
    ko: '본인 확인이 필요합니다. 자리는 사람에게 주어지므로, 확인하면 그대로 남아 있습니다.',
    en: 'Please verify who you are. Your place belongs to you, not to this device, and is kept.',
  },
  not_eligible: { ko: '이번 예약의 대상이 아닙니다.', en: 'You are not among those who can book this time.' },
  not_yet: { ko: '아직 대기 접수 전입니다. 이 화면을 그대로 두셔도 됩니다.', en: 'Places in the line are not given yet. You can leave this page open.' },
  registered: {
    ko: '추첨에 등록되었습니다. 먼저 왔는지는 순서에 영향을 주지 않습니다.',
    en: 'You are registered for the draw. Being early or late makes no difference.',
  },
  called: { ko: '차례가 되었습니다. 들어가는 중입니다.', en: 'It is your turn. Going in.' },
  admitted: { ko: '들어왔습니다. 이제 선택하실 수 있습니다.', en: 'You are in. You can choose now.' },
  ended: { ko: '이용 시간이 끝났습니다. 다시 들어오실 수 있습니다.', en: 'Your time inside has ended. You can come back in.' },
  closed: { ko: '대기실이 끝났습니다.', en: 'This waiting room is over.' },
};

const kept = { ko: '연결이 끊겼습니다. 자리는 그대로 있으니 기다려 주세요.', en: 'The connection is lost. Your place is kept; please wait.' };
const paused = { ko: '입장이 잠시 멈추었습니다. 순서는 그대로입니다.', en: 'Nobody is let in for a moment. Your place stays as it is.' };

/**
 * What a snapshot of a room says to people.
 *
 * @param {object} s a snapshot, as events of JariRoom carry it
 * @returns {{ko: string, en: string}}
 */
export function words(s) {
  const said = fixed[s.state] ?? inLine(s);
  const more = !s.connected && s.state !== 'connecting' ? kept : s.paused && (s.state === 'waiting' || s.state === 'late') ? paused : null;
  return more ? { ko: `${said.ko} ${more.ko}`, en: `${said.en} ${more.en}` } : said;
}

function inLine(s) {
  const ahead = s.ahead ?? 0;
  const late = s.state === 'late';
  let ko = late ? '차례를 놓치신 분들의 줄에 계십니다. ' : '';
  let en = late ? 'You are in the line of those who missed their turn. ' : '';
  ko += `앞에 ${numbers.ko.format(ahead)}명이 있습니다.`;
  en += `${numbers.en.format(ahead)} ${ahead === 1 ? 'person is' : 'people are'} ahead of you.`;
  if (s.etaSeconds !== null) {
    const minutes = Math.ceil(s.etaSeconds / 60);
    ko += minutes <= 1 ? ' 곧 들어가실 수 있습니다.' : ` 약 ${numbers.ko.format(minutes)}분 남았습니다.`;
    en += minutes <= 1 ? ' It is nearly your turn.' : ` About ${numbers.en.format(minutes)} minutes.`;
  }
  return { ko, en };
}
