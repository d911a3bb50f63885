// Waits in a room until it is in, and says each state as a line: node walk.mjs BASE ROOM, with SESSION in the environment.
import '../../../openapi/client/node18.mjs';
import { JariRoom, State } from '../../../openapi/client/jari-room.js';

const [base, id] = process.argv.slice(2);
// Polls ask again at once instead of in seconds: what is tested is the way, not the pace.
const env = { setTimeout: (f, ms) => setTimeout(f, Math.min(ms, 50)) };
const room = new JariRoom({ base, room: id, session: () => process.env.SESSION, env });
room.addEventListener('change', (e) => {
  console.log(JSON.stringify({ ...e.detail, admission: room.admission }));
  if (e.detail.state === State.ADMITTED) room.stop();
});
room.start();
